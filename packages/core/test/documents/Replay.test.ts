/** Recordings of earlier versions replay as they did, whole or cut off anywhere. */
import { readFileSync } from 'node:fs';
import * as E from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { describe, expect, it } from 'vitest';
import { PolicyName } from '../../src/policy/Policy.js';
import { parseRecording, type Recording, showRecordingError } from '../../src/documents/Recording.js';
import { replay, showReplayError } from '../../src/documents/Replay.js';

/** By policy, and by what is decided on. */
const Verdicts = t.record(t.string, t.record(t.string, t.string));

const fixture = (name: string): string =>
  readFileSync(new URL(`../fixtures/recording@1/${name}`, import.meta.url), 'utf8');

const verdictsOf = (name: string): t.TypeOf<typeof Verdicts> => {
  const verdicts: unknown = JSON.parse(fixture(`${name}.verdicts.json`));
  return Verdicts.is(verdicts) ? verdicts : expect.fail('the verdicts are not text');
};

const replayed = (recording: Recording, policy: string): ReadonlyArray<readonly [string, string]> => {
  if (!PolicyName.is(policy)) return expect.fail(`${policy} is no policy`);
  const report = replay({ policy, namespaces: [] })(recording);
  if (E.isLeft(report)) throw new Error(showReplayError(report.left));
  return report.right.namespaces.flatMap(({ name, bundles, workDirs }) => [
    ...bundles.map(({ id, verdict, reason }) => [`${name}/${id}`, `${verdict} ${reason}`] as const),
    ...workDirs.map((entry) => [`${name}/${entry.name} (working directory)`, entry.reason] as const),
  ]);
};

it('nothing in a recording begins a line of the report, or steers a terminal', () => {
  const text = fixture('plan.ndjson')
    .replace(
      /"workDirectories":\{[^}]*\}(?=\}\n\{"_tag":"End")/,
      '"workDirectories":{"_tag":"NotListed","error":"a\\nb\\u009b"}',
    )
    .replaceAll('cannot connect to @', 'a\\u001b[2J\\u202e\\u2028b');
  const recording = parseRecording(text);
  if (E.isLeft(recording)) throw new Error(showRecordingError(recording.left));
  const report = replay({ namespaces: [] })(recording.right);
  if (E.isLeft(report)) throw new Error(showReplayError(report.left));
  const { namespaces } = report.right;
  expect(namespaces.map(({ error }) => error)).toEqual([null, 'a\\u{a}b\\u{9b}']);
  expect(JSON.stringify(namespaces)).toContain('the shim cannot be reached: a\\\\u{1b}[2J\\\\u{202e}\\\\u{2028}b');
});

describe.each(['plan', 'recover-interrupted'])('the recording %s', (name) => {
  const text = fixture(`${name}.ndjson`);
  const verdicts = verdictsOf(name);

  it('replays to the verdicts that were committed beside it', () => {
    const recording = parseRecording(text);
    if (E.isLeft(recording)) throw new Error(showRecordingError(recording.left));
    expect(recording.right.isComplete).toBe(true);
    expect(Object.keys(verdicts).toSorted()).toEqual(recording.right.head.policies.toSorted());
    for (const [policy, expected] of Object.entries(verdicts))
      expect(Object.fromEntries(replayed(recording.right, policy))).toEqual(expected);
  });

  it('replays without a change, or is refused, wherever it is cut off', { timeout: 60_000 }, () => {
    const firstLine = text.indexOf('\n');
    let known = 0;
    for (let length = 0; length < text.length - 1; length++) {
      const recording = parseRecording(text.slice(0, length));
      expect(E.isRight(recording)).toBe(length >= firstLine);
      if (E.isLeft(recording)) continue;
      expect(recording.right.isComplete).toBe(false);
      const lines = recording.right.bundles.length + recording.right.namespaces.length;
      if (lines === known) continue; // the same as of one byte less
      known = lines;
      for (const [policy, expected] of Object.entries(verdicts))
        for (const [subject, verdict] of replayed(recording.right, policy)) expect(verdict).toBe(expected[subject]);
    }
    expect(known).toBeGreaterThan(15);
  });
});
