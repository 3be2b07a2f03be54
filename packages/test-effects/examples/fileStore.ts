/**
 * The store of an imaginary runtime: it keeps a file for each container, with the name of its runtime in it, in one
 * directory. `firstFileStore` is how it was first written; the laws of stores found two bugs in it.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ByteString as B } from '@shim-recovery/core';
import { type ContainerStore, found, notFound, unknown } from '@shim-recovery/core/interpreter';

/** Bug 1: `a` and `b-c` give the name of `a-b` and `c`. Bug 2: a directory that cannot be read has no containers. */
export const firstFileStore = (directory: string): ContainerStore => ({
  container:
    ({ namespace, id }) =>
    async () => {
      try {
        const text = await readFile(join(directory, `${B.toText(namespace)}-${B.toText(id)}`));
        return found({ runtimeName: B.fromBytes(text) });
      } catch {
        return notFound;
      }
    },
});

const nameOf = (part: B.ByteString): string => Buffer.from(B.toBytes(part)).toString('hex');

/** The longest name that the runtime gives, in hexadecimal. */
const maxNameLength = 200;

/** As it is now: names cannot be confused, and only a file that certainly is not there is a container that is not. */
export const fileStore = (directory: string): ContainerStore => ({
  container:
    ({ namespace, id }) =>
    async () => {
      const name = `${nameOf(namespace)}-${nameOf(id)}`;
      if (name.length > maxNameLength) return notFound;
      try {
        return found({ runtimeName: B.fromBytes(await readFile(join(directory, name))) });
      } catch (error) {
        const isAbsent = error instanceof Error && 'code' in error && error.code === 'ENOENT';
        return isAbsent ? notFound : unknown({ _tag: 'StoreUnavailable', reason: String(error) });
      }
    },
});

/** How a container is written down. */
export const fileNameOf = (namespace: string, id: string): string =>
  `${nameOf(B.fromText(namespace))}-${nameOf(B.fromText(id))}`;
