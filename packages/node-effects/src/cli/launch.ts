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
 * what is new, ten thousand live shims take two thirds of the memory, in the same time. Other versions may not know these.
 * Only now: code that was kept is refused by a V8 with other switches.
 */
const suitsV8 = ['11', '12', '13'].includes(process.versions.v8.split('.')[0] ?? '');
if (suitsV8)
  for (const flag of ['heap-growing-percent=100', 'semi-space-growth-factor=1']) setFlagsFromString(`--${flag}`);

run(program, script);
