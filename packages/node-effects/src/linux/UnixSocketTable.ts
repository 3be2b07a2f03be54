/** The kernel's table of unix sockets, `/proc/net/unix`. */
import { ByteString as B } from '@shim-recovery/core';
import type { Listener, SocketName } from '@shim-recovery/core/interpreter';

/** `__SO_ACCEPTCON` in a socket's flags: it listens. */
const listening = 0x1_0000;

/** `ffff8880: 00000002 00000000 00010000 0001 01 12345 /run/a.sock`; a socket without a name has none here either. */
const record = /^[0-9a-fA-F]+: [0-9A-F]{8} [0-9A-F]{8} ([0-9A-F]{8}) [0-9A-F]{4} [0-9A-F]{2} +(\d+)(?: ([^]*))?$/;

/**
 * The listening sockets of a table, whose bytes are characters here. The kernel prints a name as it is, so that a line feed in
 * one breaks its line: text that has not the form of a line belongs to the name before it. It prints `@` for every NUL of an abstract
 * name. One in which an `@` is left may have had a NUL there, and a path that begins with `@` looks like an abstract name:
 * each is given as it was printed. `undefined` where the table has another form: then it says nothing about who listens.
 */
export const listenersIn = (table: string): ReadonlyArray<Listener> | undefined => {
  const records = recordsOf(table);
  if (records === undefined) return undefined;
  const listeners: Array<Listener> = [];
  for (const line of records) {
    const [, flags, inode, name] = record.exec(line) ?? [];
    if (flags === undefined || inode === undefined || name === undefined) continue;
    if ((Number.parseInt(flags, 16) & listening) !== 0) listeners.push({ name: socketNameOf(name), inode });
  }
  return listeners;
};

const recordsOf = (table: string): ReadonlyArray<string> | undefined => {
  const [first, ...lines] = table.replace(/\n$/, '').split('\n');
  if (first !== headings) return undefined;
  const records: Array<string> = [];
  for (const line of lines) {
    if (record.test(line)) records.push(line);
    else if (records.length === 0) return undefined;
    else records[records.length - 1] += `\n${line}`;
  }
  return records;
};

const headings = 'Num       RefCount Protocol Flags    Type St Inode Path';

const socketNameOf = (printed: string): SocketName =>
  printed.startsWith('@')
    ? { _tag: 'Abstract', name: B.fromLatin1(printed.slice(1)) }
    : { _tag: 'Path', path: B.fromLatin1(printed) };
