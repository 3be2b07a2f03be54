/** What systemd gives a service as its environment, read from its unit file and the drop-ins beside it. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import { readTextFile } from '../native/TextFile.js';

/** Where unit files are, the first before the later ones. */
export const unitDirectories: ReadonlyArray<string> = [
  '/etc/systemd/system',
  '/run/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
];

/** A service that is installed: the program that it starts, and the environment that its unit sets for it. */
export interface ServiceUnit {
  readonly name: string;
  readonly program: string | undefined;
  readonly environment: ReadonlyMap<string, string>;
}

const maxFileBytes = 1024 * 1024;

/** Reads a unit with its drop-ins; undefined where it is not installed. */
export const readServiceUnit =
  (directories: ReadonlyArray<string>) =>
  (name: string): ServiceUnit | undefined => {
    const [main] = directories.flatMap((directory) => textOf(path.join(directory, name)) ?? []);
    if (main === undefined) return undefined;
    // Of drop-ins with one name the first counts; all are read in the order of their names.
    const dropIns = new Map<string, string>();
    for (const directory of directories.map((one) => path.join(one, `${name}.d`)))
      for (const file of namesIn(directory))
        if (file.endsWith('.conf') && !dropIns.has(file)) dropIns.set(file, path.join(directory, file));
    const more = [...dropIns]
      .sort(([first], [second]) => (first < second ? -1 : 1))
      .map(([, file]) => textOf(file) ?? '');
    return serviceUnitOf(name, [main, ...more], textOf);
  };

const textOf = (file: string): string | undefined => {
  const text = readTextFile(file, { maxBytes: maxFileBytes });
  return E.isRight(text) ? text.right : undefined;
};

const namesIn = (directory: string): ReadonlyArray<string> => {
  const names = E.tryCatch(
    () => fs.readdirSync(directory),
    () => undefined,
  );
  return E.isRight(names) ? names.right : [];
};

/** The unit that these texts come to, each after the one before. `read` reads an `EnvironmentFile`. */
export const serviceUnitOf = (
  name: string,
  texts: ReadonlyArray<string>,
  read: (file: string) => string | undefined,
): ServiceUnit => {
  const settings = texts.flatMap(serviceSettings);
  const assignments = valuesOf(settings, 'Environment').flatMap((value) => wordsOf(value));
  const files = valuesOf(settings, 'EnvironmentFile').map((value) => withoutSpecifiers(name, value.replace(/^-/, '')));
  const lines = files.flatMap((file) => linesOf(read(file) ?? '').map((line) => wordsOf(line).join(' ')));
  const [command] = valuesOf(settings, 'ExecStart');
  const [program] = command === undefined ? [] : wordsOf(command);
  return {
    name,
    program: program?.replace(/^[-@:+!|]+/, ''),
    // What a file sets beats what the unit sets.
    environment: new Map([...assignments, ...lines].flatMap(assignmentOf)),
  };
};

/** The settings of the section `[Service]`. */
const serviceSettings = (text: string): ReadonlyArray<Setting> => {
  const settings: Array<Setting> = [];
  let section = '';
  for (const line of linesOf(text)) {
    const equals = line.indexOf('=');
    if (line.startsWith('[')) section = line;
    else if (section === '[Service]' && equals > 0)
      settings.push([line.slice(0, equals).trim(), line.slice(equals + 1).trim()]);
  }
  return settings;
};

type Setting = readonly [key: string, value: string];

const linesOf = (text: string): ReadonlyArray<string> =>
  text
    .replace(/\\\n/g, ' ')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^[#;]/.test(line));

/** All values of a setting; an empty one takes back those before it. */
const valuesOf = (settings: ReadonlyArray<Setting>, key: string): ReadonlyArray<string> => {
  const values = settings.filter(([name]) => name === key).map(([, value]) => value);
  return values.slice(values.lastIndexOf('') + 1);
};

/** Words between blanks; in quotes a blank is part of a word, and behind a backslash any character. */
const wordsOf = (text: string): ReadonlyArray<string> =>
  (text.match(/(?:\\.|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^\s"'\\])+/g) ?? []).map((word) =>
    word.replace(/\\(.)|["']/g, (_, escaped: string | undefined) => escaped ?? ''),
  );

/** The specifiers that stand for a unit's name: all else that they may stand for is not in the paths of these units. */
const withoutSpecifiers = (name: string, text: string): string =>
  text.replace(/%([nNp%])/g, (_, letter: string) => {
    if (letter === '%') return '%';
    return letter === 'n' ? name : name.replace(/\.service$/, '');
  });

const assignmentOf = (word: string): ReadonlyArray<readonly [string, string]> => {
  const equals = word.indexOf('=');
  return equals > 0 ? [[word.slice(0, equals), word.slice(equals + 1)]] : [];
};
