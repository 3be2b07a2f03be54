/** What shims write to their logs, cut into lines, each with its task's name in front. */
import { ByteString as B } from '@shim-recovery/core';
import type { IO } from 'fp-ts/lib/IO.js';
import type { LogSink } from '../../linux/LinuxLogPipes.js';

/** A line that does not end is said in pieces of this size, so that it is not kept for ever. */
export const maxLineBytes = 64 * 1024;

/** A task as it is named on stderr. */
export const taskName = (about: { readonly namespace: B.ByteString; readonly id: B.ByteString }): string =>
  `${B.show(about.namespace)}/${B.show(about.id)}`;

export interface LogLines {
  readonly sink: LogSink;
  /** Says what the task's last line holds so far: no more comes of it. */
  readonly end: (task: string) => IO<void>;
  readonly endAll: IO<void>;
}

/** Cuts at every line feed, wherever the reads happen to end. `said` tells when there is room for more. */
export const makeLogLines = (say: (line: string) => void, said: () => Promise<void> | undefined): LogLines => {
  const unfinished = new Map<string, B.ByteString>();
  const sayLine = (task: string, line: B.ByteString): void => say(`${task}: ${showLine(line)}`);
  const end = (task: string) => (): void => {
    const rest = unfinished.get(task) ?? B.empty;
    unfinished.delete(task);
    if (rest !== '') sayLine(task, rest);
  };
  return {
    sink: ({ bytes, ...about }) => {
      const task = taskName(about);
      const lines = B.split(B.concat(unfinished.get(task) ?? B.empty, B.fromBytes(bytes)), '\n');
      const rest = lines.at(-1) ?? B.empty;
      for (const line of lines.slice(0, -1)) sayLine(task, line);
      unfinished.set(task, rest);
      if (rest.length >= maxLineBytes) end(task)();
      return said();
    },
    end,
    endAll: () => {
      for (const task of Array.from(unfinished.keys())) end(task)();
    },
  };
};

/** As it was written, but for what would steer a terminal or deceive its reader, and with tabs as spaces. */
const showLine = (line: B.ByteString): string =>
  B.split(line, '\t')
    .map((piece) => B.split(piece, '\\').map(B.show).join('\\'))
    .join('    ');
