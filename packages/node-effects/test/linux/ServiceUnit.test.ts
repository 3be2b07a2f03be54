/** Unit files as systemd reads them, as far as the environment of a service goes. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readServiceUnit, serviceUnitOf } from '../../src/daemon/ServiceUnit.js';
import { temporaryDirectory } from '../temporary.js';

const unit = (texts: ReadonlyArray<string>, files: Readonly<Record<string, string>> = {}) =>
  serviceUnitOf('k3s.service', texts, (file) => files[file]);

const pathIn = (text: string, files?: Readonly<Record<string, string>>): string | undefined =>
  unit([`[Service]\n${text}`], files).environment.get('PATH');

describe('the environment of a service', () => {
  it.each<readonly [string, string | undefined]>([
    ['Environment=PATH=/a:/b', '/a:/b'],
    ['Environment = "PATH=/a:/b c"', '/a:/b c'],
    [`Environment='A=1' "B=2 3" PATH=/a`, '/a'],
    ['Environment=A=1 \\\n  PATH=/a', '/a'],
    ['Environment=PATH=/a\nEnvironment=PATH=/b', '/b'],
    ['Environment=PATH=/a\nEnvironment=\nEnvironment=B=1', undefined],
    ['# Environment=PATH=/a\n; Environment=PATH=/b', undefined],
    ['Environment=PATH=/a\\ b', '/a b'],
    ['Environment=MANPATH=/a', undefined],
    ['[Unit]\nEnvironment=PATH=/a', undefined],
    ['', undefined],
  ])('of %j has the PATH %j', (text, expected) => {
    expect(pathIn(text)).toBe(expected);
  });

  it.each<readonly [string, string | undefined]>([
    ['EnvironmentFile=/env', '/file'],
    ['EnvironmentFile=-/env', '/file'],
    ['EnvironmentFile=-/etc/default/%N', '/named'],
    ['EnvironmentFile=/etc/%p/%n%%', '/percent'],
    ['EnvironmentFile=/env\nEnvironment=PATH=/a', '/file'],
    ['Environment=PATH=/a\nEnvironmentFile=-/missing', '/a'],
    ['Environment=PATH=/a\nEnvironmentFile=/env\nEnvironmentFile=', '/a'],
  ])('of %j and its files has the PATH %j', (text, expected) => {
    const files = {
      '/env': '# PATH=/no\n\nB=1\nPATH="/file"\n',
      '/etc/default/k3s': 'PATH=/named',
      '/etc/k3s/k3s.service%': 'PATH=/percent',
    };
    expect(pathIn(text, files)).toBe(expected);
  });

  it('is changed by what comes after, and so is the program', () => {
    const first = '[Unit]\nDescription=x\n[Service]\nEnvironment=PATH=/a A=1\nExecStart=-/usr/bin/one --flag\n';
    expect(unit([first]).program).toBe('/usr/bin/one');
    const both = unit([first, '[Service]\nEnvironment=PATH=/b\nExecStart=\nExecStart=@/usr/bin/two two\n']);
    expect(both.program).toBe('/usr/bin/two');
    expect([...both.environment]).toEqual([
      ['PATH', '/b'],
      ['A', '1'],
    ]);
    expect(unit(['']).program).toBeUndefined();
  });
});

describe('the files of a unit', () => {
  const base = temporaryDirectory();
  const write = (file: string, ...lines: ReadonlyArray<string>): void => {
    const name = path.join(base.path(), file);
    fs.mkdirSync(path.dirname(name), { recursive: true });
    fs.writeFileSync(name, ['[Service]', ...lines, ''].join('\n'));
  };
  const read = (...directories: ReadonlyArray<string>) =>
    readServiceUnit(directories.map((directory) => path.join(base.path(), directory)))('x.service');

  it('are the first of its name, and all drop-ins in the order of their names', () => {
    write('etc/x.service', 'Environment=A=etc');
    write('lib/x.service', 'Environment=A=lib B=lib');
    write('lib/x.service.d/20-late.conf', 'Environment=PATH=/late');
    write('etc/x.service.d/10-early.conf', 'Environment=PATH=/early C=1');
    write('lib/x.service.d/10-early.conf', 'Environment=C=hidden D=hidden');
    write('etc/x.service.d/30-other.txt', 'Environment=PATH=/other');
    expect([...(read('etc', 'run', 'lib')?.environment ?? [])]).toEqual([
      ['A', 'etc'],
      ['PATH', '/late'],
      ['C', '1'],
    ]);
    expect(read('lib')?.environment.get('B')).toBe('lib');
    expect(read('run')).toBeUndefined();
  });
});
