import * as E from 'fp-ts/lib/Either.js';
import * as fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import * as B from '../../src/base/ByteString.js';
import { careful, containerd17, containerd21, policies, withChoices } from '../../src/policy/Policy.js';
import { headOf, parseRecording, showRecordingError, startRecording, factsOf } from '../../src/documents/Recording.js';
import { settingsFor } from '../../src/policy/Settings.js';
import { planOf, type HostFacts, type BundleFacts } from '../../src/plan/HostFacts.js';
import { because } from '../../src/decide/Verdict.js';
import { anyEvidence, bundle } from '../evidence.js';

const text = B.fromText;

const search = { workingDirectory: text('/'), path: text('/bin'), executableDirectory: text('/bin') };
const settings = settingsFor({ state: text('/state'), root: text('/root'), programSearch: search });
const head = headOf('plan', settings, [containerd21], 0);

/** What a run that learns this writes, in the order in which it is given. */
const record = ({ namespaces, interrupted }: Pick<HostFacts, 'namespaces' | 'interrupted'>): string => {
  const lines: Array<string> = [];
  const recorder = startRecording((line) => () => void lines.push(line))(head)();
  for (const { bundles } of namespaces)
    for (const facts of bundles) {
      const { namespace, id } = facts.evidence;
      recorder.observer.notify({ _tag: 'BundleDecided', namespace, id, verdict: because('empty'), facts })();
    }
  for (const { bundles: _bundles, ...namespace } of namespaces)
    recorder.observer.notify({ _tag: 'NamespaceInspected', namespace })();
  recorder.end({ interrupted, durationMs: 1 })();
  return lines.join('');
};

const factsOfBundle = (id: string): BundleFacts => ({
  evidence: { ...bundle({ address: { _tag: 'Read', content: B.fromBytes(Uint8Array.of(0, 10, 255)) } }), id: text(id) },
  answers: { [containerd17.name]: { container: { _tag: 'NotFound' } } },
});

const facts: HostFacts = {
  state: text('/state'),
  root: text('/root'),
  interrupted: false,
  namespaces: [
    {
      name: text('default'),
      error: null,
      bundles: ['a', 'é', 'é2'].map(factsOfBundle),
      workDirectories: { _tag: 'Listed', names: ['old', 'ü'].map(text) },
    },
    { name: text('other'), error: 'no\u2028\u001b', bundles: [], workDirectories: { _tag: 'NotListed', error: 'EIO' } },
  ],
};

const recorded = record(facts);
const lines = recorded.split('\n').slice(0, -1);

const parsed = (of: string) => {
  const outcome = parseRecording(of);
  if (E.isLeft(outcome)) throw new Error(showRecordingError(outcome.left));
  return outcome.right;
};

/** The sentence why it is refused. */
const refusal = (of: string): string => {
  const outcome = parseRecording(of);
  return E.isLeft(outcome) ? showRecordingError(outcome.left) : 'it is read';
};

describe('a recording', () => {
  it('gives the facts that were recorded', () => {
    const recording = parsed(recorded);
    expect(recording).toMatchObject({ head, isComplete: true });
    expect(factsOf(recording)).toEqual(facts);
  });

  it('gives any evidence and answers as they were', () => {
    const anyBundle = fc.tuple(anyEvidence(), anyEvidence(), fc.string()).map(([evidence, { answers }, path]) => ({
      evidence: { ...evidence, id: text(path), answers: {} },
      answers: { [containerd17.name]: evidence.answers, [containerd21.name]: answers },
    }));
    const distinct = fc.uniqueArray(anyBundle, { selector: ({ evidence }) => evidence.id });
    fc.assert(
      fc.property(distinct, fc.boolean(), fc.string({ unit: 'binary' }), (bundles, interrupted, error) => {
        const one = { name: text('default'), error, bundles, workDirectories: { _tag: 'Listed' as const, names: [] } };
        const read = factsOf(parsed(record({ interrupted, namespaces: [one] })));
        const sorted = [...bundles].sort((first, second) => B.Ord.compare(first.evidence.id, second.evidence.id));
        expect(read).toEqual({ ...facts, interrupted, namespaces: [{ ...one, bundles: sorted }] });
      }),
    );
  });

  it('is ASCII, a document a line', () => {
    expect(recorded).toMatch(/^(?:[\u0020-\u007e]+\n)+$/);
  });

  it('says so of nothing that is told after its end', () => {
    const written: Array<string> = [];
    const recorder = startRecording((line) => () => void written.push(line))(head)();
    recorder.end({ interrupted: false, durationMs: 0 })();
    recorder.observer.notify({ _tag: 'NamespaceInspected', namespace: facts.namespaces[1] ?? expect.fail() })();
    recorder.end({ interrupted: true, durationMs: 0 })();
    expect(parsed(written.join('')).end).toMatchObject({ value: { interrupted: false } });
  });

  it('ends with what the run came to, and nothing else of it', () => {
    const more = { interrupted: true, durationMs: 2, summary: 'of the report' };
    const written: Array<string> = [];
    startRecording((line) => () => void written.push(line))(head)().end(more)();
    expect(JSON.parse(written[1] ?? '')).toEqual({
      _tag: 'End',
      interrupted: true,
      durationMs: 2,
      bundles: 0,
      namespaces: 0,
    });
  });

  it('needs no newline at its end', () => {
    expect(parsed(recorded.trimEnd()).isComplete).toBe(true);
  });
});

describe('a recording that was cut off', () => {
  it('is read as far as its lines are whole, or refused where not even the first is', () => {
    const whole = planOf(containerd17)(facts).namespaces.flatMap(({ bundles }) => bundles);
    for (let length = 0; length < recorded.length - 1; length++) {
      const outcome = parseRecording(recorded.slice(0, length));
      if (E.isLeft(outcome)) {
        expect(length).toBeLessThan(lines[0]?.length ?? 0);
        expect(outcome.left._tag).toBe('NotRecording');
        continue;
      }
      expect(outcome.right.isComplete).toBe(false);
      const { namespaces } = planOf(containerd17)(factsOf(outcome.right));
      // What a run that was cut off did not ask counts as interrupted; all else is as it was.
      const interrupted = planOf(containerd17)({ ...facts, interrupted: true });
      const expected = interrupted.namespaces.flatMap(({ bundles }) => bundles).slice(0, outcome.right.bundles.length);
      expect(namespaces.flatMap(({ bundles }) => bundles)).toEqual(expected);
      expect(expected.map(({ verdict }) => verdict._tag)).toEqual(
        whole.slice(0, expected.length).map(({ verdict }) => verdict._tag),
      );
    }
  });

  it('does not know the working directories of a namespace that it does not tell of', () => {
    const { namespaces } = factsOf(parsed(lines.slice(0, 2).join('\n')));
    expect(namespaces).toMatchObject([{ name: 'default', error: null, workDirectories: { _tag: 'NotListed' } }]);
    expect(planOf(containerd17)(factsOf(parsed(lines.slice(0, 2).join('\n')))).namespaces[0]).toMatchObject({
      error: expect.stringMatching(/not known/),
      workDirectories: [],
    });
  });

  it('is not complete where something was begun after its end', () => {
    expect(parsed(`${recorded}{"_tag":`)).toMatchObject({ isComplete: false, bundles: { length: 3 } });
  });

  it('may end with what a crash of the machine left there', () => {
    expect(parsed(`${lines.slice(0, 3).join('\n')}\n\0\0\0\0`)).toMatchObject({ isComplete: false });
  });
});

describe('what is refused', () => {
  const newer = recorded.replace('recording@1', 'recording@2');
  test.each<readonly [string, string, RegExp]>([
    ['nothing', '', /^it is no recording: it is empty; plan --record FILE makes one$/],
    ['text', 'hello\n', /its first line is no JSON/],
    ['another document', '{"a":1}\n', /names no schema/],
    ['a report', '{"schema":"shim-recovery/report@1"}\n', /its schema is "shim-recovery\/report@1"/],
    ['a newer schema', newer, /^it is written as shim-recovery\/recording@2, and this version reads .*@1 only; replay/],
    ['a first line without its fields', recorded.replace('"command":"plan"', '"command":"demo"'), /line 1 .*\/command/],
    [
      'a time that is none',
      recorded.replace('1970-01-01T', '\\u001b[2J'),
      /line 1 is damaged: \/startedAt is .*no time/,
    ],
    ['a damaged line', lines.with(2, lines[2]?.slice(9) ?? '').join('\n'), /^line 3 is damaged: it is no JSON/],
    ['an empty line', lines.with(2, '').join('\n'), /^line 3 is damaged: it is empty/],
    [
      'an unknown line',
      lines.with(1, '{"_tag":"Other"}').join('\n'),
      /^line 2 is damaged: \/_tag is "Other"|^line 2 .*Other/,
    ],
    [
      'a wrong value',
      lines.with(2, lines[2]?.replace('"kind":"directory"', '"kind":7') ?? '').join('\n'),
      /^line 3 is damaged: \/evidence\/kind is 7, which is no FileKind;/,
    ],
    [
      'a wrong answer',
      lines.with(2, lines[2]?.replace('"NotFound"', '"Fond"') ?? '').join('\n'),
      /^line 3 is damaged: \/answers\/containerd-1.7\/container.* is .*Fond/,
    ],
    [
      'a bundle twice',
      lines.with(2, lines[1] ?? '').join('\n'),
      /^line 3 is damaged: the bundle default\/a was recorded/,
    ],
    ['a second run', `${recorded}${recorded}`, /^line 8 is damaged: it stands after the end/],
    ['a second first line', lines.with(1, lines[0] ?? '').join('\n'), /^line 2 is damaged/],
    ['a lost bundle', lines.toSpliced(2, 1).join('\n'), /^its end tells of 3 bundles, but there are 2/],
    ['a lost namespace', lines.toSpliced(4, 1).join('\n'), /^its end tells of 2 namespaces, but there are 1/],
  ])('%s', (_, of, sentence) => {
    expect(refusal(of)).toMatch(sentence);
    expect(refusal(of)).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
  });
});

describe('what a run chose of its policy', () => {
  const chosen = withChoices({ orphans: 'reaped', mayDestroy: 0.25 })(careful);

  it('is told, and makes that policy of the one that is named', () => {
    const choices = headOf('plan', { ...settings, policy: chosen }, [], 0).choices ?? expect.fail('nothing is told');
    expect(withChoices(choices)(careful)).toEqual(chosen);
  });

  it('may be missing, as in the first recordings, or be wrong', () => {
    const told = /"choices":\{[^}]*\},/;
    expect(recorded).toMatch(told);
    expect(parsed(recorded.replace(told, '')).head.choices).toBe(undefined);
    expect(parsed(recorded.replace(told, '"choices":{"later":1},')).head.choices).toEqual({ later: 1 });
    expect(refusal(recorded.replace(told, '"choices":{"mayDestroy":2},'))).toMatch(
      /^line 1 is damaged: \/choices\/mayDestroy is 2, which is no share from 0 to 1;/,
    );
    expect(refusal(recorded.replace(told, '"choices":{"orphans":"killed"},'))).toMatch(
      /^line 1 is damaged: \/choices\/orphans is "killed", which is no/,
    );
  });
});

it('every policy is named once', () => {
  expect(headOf('recover', settings, Object.values(policies), 0).policies.toSorted()).toEqual(
    Object.keys(policies).toSorted(),
  );
});
