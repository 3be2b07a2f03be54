import { ByteString as B } from '@shim-recovery/core';
import { describe, expect, test } from 'vitest';
import { listenersIn } from '../../src/linux/UnixSocketTable.js';

const headings = 'Num       RefCount Protocol Flags    Type St Inode Path';

const table = (...lines: ReadonlyArray<string>): string => [headings, ...lines, ''].join('\n');

const record = (inode: number, name: string, flags = '00010000'): string =>
  `0000000000000000: 00000002 00000000 ${flags} 0001 01 ${String(inode).padStart(5)}${name === '' ? '' : ` ${name}`}`;

const path = (text: string, inode: string) => ({ name: { _tag: 'Path', path: B.fromLatin1(text) }, inode });
const abstract = (text: string, inode: string) => ({ name: { _tag: 'Abstract', name: B.fromLatin1(text) }, inode });

describe('the table of unix sockets', () => {
  test('lists a listening socket by its path or its abstract name', () => {
    expect(listenersIn(table(record(12, '/run/a.sock'), record(123456, '@/containerd-shim/x')))).toEqual([
      path('/run/a.sock', '12'),
      abstract('/containerd-shim/x', '123456'),
    ]);
  });

  test('leaves out sockets that do not listen, with and without a name', () => {
    expect(listenersIn(table(record(1, '/run/a.sock', '00000000'), record(2, '', '00000000')))).toEqual([]);
    expect(listenersIn(table())).toEqual([]);
  });

  test('keeps spaces, line feeds and odd bytes of a name', () => {
    const odd = ' a  b\n\n\xff\r\t: 1';
    expect(listenersIn(table(record(1, `/run/${odd}`), record(2, `@${odd}\n`), record(3, '/c')))).toEqual([
      path(`/run/${odd}`, '1'),
      abstract(`${odd}\n`, '2'),
      path('/c', '3'),
    ]);
  });

  test('keeps a second @ of an abstract name as it was printed', () => {
    expect(listenersIn(table(record(1, '@a@@b')))).toEqual([abstract('a@@b', '1')]);
  });

  test('says nothing of a table that has another form', () => {
    expect(listenersIn('')).toBeUndefined();
    expect(listenersIn('Num Path\n')).toBeUndefined();
    expect(listenersIn(table('1 2 3'))).toBeUndefined();
  });
});
