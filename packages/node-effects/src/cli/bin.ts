#!/usr/bin/env node

/** Starts the command, which is one file (`tooling/bundle.js`), with the code that this very Node made of it before. */
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { keptCode, run, scriptOf } from './CodeCache.js';

/** The name of the program's file. */
declare const programFile: string;

const program = join(import.meta.dirname, programFile);

const script = scriptOf(program, keptCode(program));

/**
 * A recovery makes much that is soon of no use, and is over before long: collected a little sooner and without more room for
 * what is new, ten thousand live shims take two thirds of the memory, in the same time.
 */
const collecting = ['--heap-growing-percent=80', '--semi-space-growth-factor=1'];

/** And V8 is to make quick what is called for long only: making it so takes a processor that the shims could have. */
const optimizing = ['--interrupt-budget=500000'];

/** By V8's version, each with what it knows: another would complain. */
const switches: Readonly<Partial<Record<string, ReadonlyArray<string>>>> = {
  11: [...collecting, ...optimizing],
  12: collecting,
  13: collecting,
};

// Only now: code that was kept is refused by a V8 with other switches.
for (const one of switches[process.versions.v8.split('.')[0] ?? ''] ?? []) setFlagsFromString(one);

run(program, script);
