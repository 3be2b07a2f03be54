/** The things that a world is made of, one at a time. */
import * as t from 'io-ts';

/**
 * One thing to make. Its parent directories may be missing: they are made, too, as plain directories. `Tmpfs` is mounted
 * on the directory of its path, which is made for it, over whatever is mounted there already; a busy one cannot be
 * unmounted.
 */
export const Making = t.union(
  [
    t.readonly(t.type({ _tag: t.literal('Directory'), path: t.string, mode: t.number })),
    t.readonly(t.type({ _tag: t.literal('File'), path: t.string, text: t.string })),
    t.readonly(t.type({ _tag: t.literal('Symlink'), path: t.string, target: t.string })),
    t.readonly(t.type({ _tag: t.literal('Fifo'), path: t.string, mode: t.number })),
    t.readonly(t.type({ _tag: t.literal('Tmpfs'), path: t.string, isBusy: t.boolean })),
  ],
  'Making',
);

export type Making = t.TypeOf<typeof Making>;

export const directory = (path: string, mode = 0o711): Making => ({ _tag: 'Directory', path, mode });

export const file = (path: string, text = 'x'): Making => ({ _tag: 'File', path, text });

export const symlink = (path: string, target: string): Making => ({ _tag: 'Symlink', path, target });

export const fifo = (path: string, mode = 0o700): Making => ({ _tag: 'Fifo', path, mode });

export const tmpfs = (path: string): Making => ({ _tag: 'Tmpfs', path, isBusy: false });

export const busyTmpfs = (path: string): Making => ({ _tag: 'Tmpfs', path, isBusy: true });

/** A folder that holds one file. */
export const folderWithFile = (path: string, name = 'f'): ReadonlyArray<Making> => [
  directory(path),
  file(`${path}/${name}`),
];
