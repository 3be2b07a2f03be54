/** In how many ways two policies differ, and in which words: every choice that a policy makes. */
import * as t from 'io-ts';
import type { Policy } from './Policy.js';

/** Each choice with what a policy's daemon does by it: the predicate of a sentence about it. */
const sayings: Readonly<Record<Exclude<keyof Policy, 'name'>, (policy: Policy) => string>> = {
  bootstrap: ({ bootstrap }) =>
    ({
      'address-text': 'takes all of address for the address',
      address: 'reads the address from address',
      bootstrap: 'reads it from bootstrap.json, which it makes of address where it is missing',
      either: 'reads it from bootstrap.json or address, whichever can be understood',
    })[bootstrap],
  logOpened: ({ logOpened }) =>
    ({
      'before-address': 'opens the log before it looks for the address',
      'after-address': 'opens the log between reading the address and dialling',
      'after-dial': 'opens the log once the shim was dialled',
      optional: 'opens the log where it can',
    })[logOpened],
  reapsLeakedShims: ({ reapsLeakedShims }) =>
    reapsLeakedShims
      ? 'asks a shim that answers for its processes, and reaps it when it has none'
      : 'takes back every shim that answers, whatever it has',
  failedPidsCountAsNone: ({ failedPidsCountAsNone }) =>
    failedPidsCountAsNone
      ? 'takes a shim that failed to list its processes for one that has none'
      : 'takes back a shim that failed to list its processes',
  removesAfterFailedCleanUp: ({ removesAfterFailedCleanUp }) =>
    ({
      none: "leaves every bundle when the shim's binary failed to clean up",
      reaped: "leaves the bundle of a dead shim when the shim's binary failed to clean up",
      all: "removes the bundle also when the shim's binary failed to clean up",
    })[removesAfterFailedCleanUp],
  unmounts: ({ unmounts }) =>
    ({
      rootfs: 'unmounts rootfs, and nothing below it',
      'rootfs-and-below': 'unmounts all at or below rootfs by its own path',
      'target-and-below': 'unmounts all at or below the place that rootfs leads to',
      bundle: 'unmounts all below the bundle, and removes nothing in which something is mounted still',
    })[unmounts],
  death: ({ death }) =>
    death === 'one-sign'
      ? 'takes a shim that does not answer for dead'
      : 'takes a shim for dead only if it does not answer and every other source says so, too',
  orphans: ({ orphans }) =>
    orphans === 'held'
      ? 'leaves a container that runs without its shim as it is'
      : "ends a container that runs without its shim, by the shim's binary",
  reapedOrphans: ({ reapedOrphans }) =>
    reapedOrphans.length === 0
      ? 'treats all containers that run without their shim alike'
      : `ends a container that runs without its shim only if it is one of ${reapedOrphans.join(', ')}`,
  disconnect: ({ disconnect }) =>
    disconnect === 'death'
      ? 'takes the end of the connection to a shim for its death'
      : 'asks a shim again when the connection to it ends',
  workDirectories: ({ workDirectories }) =>
    workDirectories === 'named'
      ? 'removes with a bundle the working directory that it names, wherever that is'
      : 'removes only working directories of the namespace that nobody owns',
  keepsWorkOfWhatStays: ({ keepsWorkOfWhatStays }) =>
    keepsWorkOfWhatStays
      ? 'keeps the working directory of every bundle that stays'
      : 'removes the working directory of a bundle that stays without being taken back',
  sweepsLeftovers: ({ sweepsLeftovers }) =>
    sweepsLeftovers ? 'removes what interrupted removals left behind' : 'never looks at what is hidden',
  mayDestroy: ({ mayDestroy }) =>
    mayDestroy >= 1 ? 'destroys however many bundles' : `destroys no more than a share of ${mayDestroy} of all bundles`,
  runtimeNames: ({ runtimeNames }) =>
    runtimeNames === 'any' ? 'takes any name for that of a runtime' : 'refuses names that no runtime can have',
  sandboxRecords: ({ sandboxRecords }) =>
    ({
      none: 'looks up no sandbox',
      root: 'looks up sandboxes at the root of the database only',
      v1: 'looks up sandboxes below v1 of the database only',
      either: 'looks up sandboxes at the root of the database and below v1',
    })[sandboxRecords],
};

export const Choice = t.keyof(sayings, 'Choice');

export type Choice = t.TypeOf<typeof Choice>;

const allChoices: ReadonlyArray<Choice> = Object.keys(sayings).filter(Choice.is);

/** The choices that two policies make differently. */
export const choicesApart = (first: Policy, second: Policy): ReadonlyArray<Choice> =>
  allChoices.filter((choice) => JSON.stringify(first[choice]) !== JSON.stringify(second[choice]));

/** A policy with one choice made as another policy makes it. */
export const withChoice =
  (choice: Choice, from: Policy) =>
  (policy: Policy): Policy => ({ ...policy, [choice]: from[choice] });

/** Says in words how a policy's daemon acts by a choice: "reads …", "opens …". */
export const sayChoice =
  (choice: Choice) =>
  (policy: Policy): string =>
    sayings[choice](policy);
