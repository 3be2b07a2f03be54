/** A saved plan as a file: written whole, or not at all. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { encodeSavedPlan, parseSavedPlan, type SavedPlan, showSavedPlanError } from '@shim-recovery/core/documents';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import { readTextFile } from '../../native/TextFile.js';
import { type HostOptions, type OwnOptions } from '../arguments/Options.js';
import { hostOfPlan } from './SavedOptions.js';

/** Whether a plan can be saved there, as far as that can be told before it is made; nothing is written. */
export const checkPlanFile = (file: string): E.Either<string, void> =>
  E.tryCatch(
    () => {
      if (fs.lstatSync(file, { throwIfNoEntry: false }) !== undefined)
        throw Object.assign(new Error('it exists'), { code: 'EEXIST' });
      fs.accessSync(path.dirname(file), fs.constants.W_OK);
    },
    (error) => whyNotMade(file, error),
  );

const whyNotMade = (file: string, error: unknown): string =>
  isCode(error, 'EEXIST')
    ? `${file} exists already, and nothing is written over: name a file with --out that does not exist yet`
    : `the plan cannot be saved as ${file}: ${messageOf(error)}`;

const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Writes it and brings it to the disk. What could not be written whole is taken away again. */
export const writePlanFile = (file: string, saved: SavedPlan): E.Either<string, void> =>
  E.tryCatch(
    () => {
      const descriptor = fs.openSync(file, 'wx', mode);
      try {
        fs.writeFileSync(descriptor, encodeSavedPlan(saved));
        fs.fsyncSync(descriptor);
        syncDirectory(path.dirname(file));
      } catch (error) {
        fs.unlinkSync(file);
        throw error;
      } finally {
        fs.closeSync(descriptor);
      }
    },
    (error) => whyNotMade(file, error),
  );

/** Only its owner reads it: it tells of every container of the host. */
const mode = 0o600;

const syncDirectory = (directory: string): void => {
  const descriptor = fs.openSync(directory, 'r');
  try {
    fs.fsyncSync(descriptor);
  } finally {
    fs.closeSync(descriptor);
  }
};

/** A plan, with the options that it is carried out with. */
export interface ReadPlan {
  readonly saved: SavedPlan;
  readonly host: HostOptions;
}

/** Left: why it cannot be carried out, in one line. */
export const readPlanFile = (file: string, own: OwnOptions): E.Either<string, ReadPlan> =>
  pipe(
    E.Do,
    E.bind('saved', () =>
      pipe(
        readTextFile(file, { maxBytes: maxFileBytes }),
        E.chain((text) => pipe(parseSavedPlan(text), E.mapLeft(showSavedPlanError))),
      ),
    ),
    E.bind('host', ({ saved }) =>
      pipe(
        hostOfPlan(own)(saved),
        E.mapLeft(({ message }) => message),
      ),
    ),
    E.mapLeft((why) => `the plan ${file} cannot be carried out: ${why}`),
  );

/** What the plans of this program's largest hosts stay far below, and what fits into one string. */
const maxFileBytes = 384 * 1024 * 1024;
