/** A comparison as people read it: the worst first, equal differences together. */
import {
  allDifferences,
  type BundleDifference,
  type Comparison,
  type Difference,
  isRemoved,
  verdictWords,
  type WorkDirectoryDifference,
} from '@shim-recovery/core/documents';
import { showStep, type Style, verdictStyle } from './Render.js';

const titles: Readonly<Record<Difference, string>> = {
  'alive-destroyed': 'alive, and destroyed by one of them only',
  destroyed: 'destroyed by one of them only',
  undecided: 'not known, as not all was asked',
  verdict: 'another verdict',
  steps: 'other steps',
  'after-failure': 'other steps where one fails',
  unmounting: 'other mounts unmounted',
};

type Policies = Pick<Comparison, 'first' | 'second'>;

/** The whole comparison, ending with a summary of one line. */
export const renderComparison =
  (style: Style) =>
  (comparison: Comparison): string =>
    [
      ...comparison.problems.map(({ namespace, error }) => style.bad(`namespace ${namespace}: ${error}`)),
      ...(comparison.problems.length === 0 ? [] : ['']),
      ...allDifferences.flatMap(sectionLines(style, comparison)),
      ...workDirLines(style, comparison),
      style.strong(summaryLine(comparison)),
      '',
    ].join('\n');

/** All of which a part differs in this way: what differs in several stands in several sections. */
const sectionLines =
  (style: Style, comparison: Comparison) =>
  (kind: Difference): ReadonlyArray<string> => {
    const said = comparison.bundles.flatMap((bundle) =>
      bundle.parts
        .filter(({ difference }) => difference === kind)
        .map((part) => ({
          name: `${bundle.namespace}/${bundle.id}`,
          body: bodyOf(style, comparison, bundle, part),
        })),
    );
    if (said.length === 0) return [];
    const mark = kind === 'alive-destroyed' || kind === 'destroyed' ? style.bad : style.strong;
    return [mark(titles[kind]), ...groupBy(said).flatMap(([body, names]) => [`  ${showNames(names)}`, body]), ''];
  };

/** What is said of a part below the name of its bundle. */
const bodyOf = (
  style: Style,
  policies: Policies,
  bundle: BundleDifference,
  { difference, why }: Part,
): ReadonlyArray<string> => {
  const width = Math.max(policies.first.length, policies.second.length);
  const whys = why.map((sentence) => style.faint(`why: ${sentence}`));
  switch (difference) {
    case 'alive-destroyed':
    case 'destroyed':
    case 'undecided':
    case 'verdict':
      return [
        sideLine(style, width, policies.first, bundle.first),
        sideLine(style, width, policies.second, bundle.second),
        ...(difference === 'undecided' ? [] : whys),
      ];
    case 'steps':
      return [...stepLines(policies, bundle), ...whys];
    case 'after-failure':
    case 'unmounting':
      return whys;
  }
};

/** A part of a bundle's difference. */
type Part = BundleDifference['parts'][number];

const sideLine = (style: Style, width: number, policy: string, side: BundleDifference['first']): string =>
  `${policy.padEnd(width)}  ${verdictStyle(style, side.verdict)(verdictWords[side.verdict].padEnd(8))}  ${side.explanation}`;

const showNames = (names: ReadonlyArray<string>): string => {
  const more = names.length - shownNames;
  return more <= 0
    ? names.join(', ')
    : `${names.slice(0, shownNames).join(', ')} and ${more} more (--json names them all)`;
};

const shownNames = 10;

const summaryLine = ({ first, second, summary, interrupted }: Comparison): string => {
  const counts = allDifferences.flatMap((kind) => {
    const count = summary.differences[kind];
    return count > 0 ? [`${count} ${titles[kind]}`] : [];
  });
  const bundles = summary.same === 1 ? '1 bundle fares' : `${summary.same} bundles fare`;
  const apart = counts.length === 0 ? '' : `${counts.join('; ')}; `;
  return `compare: ${first} and ${second}: ${apart}${bundles} the same${interrupted ? '; interrupted, what was not asked is not known' : ''}`;
};

/** What only one of them does, in a line for each; where both do the same, it is their order that differs. */
const stepLines = ({ first, second }: Policies, difference: BundleDifference): ReadonlyArray<string> => {
  const [firsts, seconds] = [stepsOf(difference.first), stepsOf(difference.second)];
  const only = (policy: string, own: ReadonlyArray<string>, other: ReadonlyArray<string>): ReadonlyArray<string> => {
    const steps = own.filter((step) => !other.includes(step));
    return steps.length === 0 ? [] : [`only ${policy}: ${steps.join(', ')}`];
  };
  const lines = [...only(first, firsts, seconds), ...only(second, seconds, firsts)];
  return lines.length === 0 ? [`${first}: ${firsts.join(', ')}`, `${second}: ${seconds.join(', ')}`] : lines;
};

const stepsOf = ({ steps }: BundleDifference['first']): ReadonlyArray<string> => steps.map(showStep);

/** The names of which the same is to be said, by what is said. */
const groupBy = (
  said: ReadonlyArray<{ readonly name: string; readonly body: ReadonlyArray<string> }>,
): ReadonlyArray<readonly [string, ReadonlyArray<string>]> => {
  const groups = new Map<string, Array<string>>();
  for (const { name, body } of said) {
    const text = body.map((line) => `    ${line}`).join('\n');
    const names = groups.get(text) ?? [];
    groups.set(text, names);
    names.push(name);
  }
  return [...groups];
};

/** Those of which the bundles above do not tell already. */
const workDirLines = (style: Style, { first, second, bundles, workDirs }: Comparison): ReadonlyArray<string> => {
  const told = new Set(bundles.map(({ namespace, id }) => `${namespace}/${id}`));
  const nameOf = ({ namespace, name }: WorkDirectoryDifference): string => `${namespace}/${name}`;
  const others = workDirs.filter((workDir) => !told.has(nameOf(workDir)));
  if (others.length === 0) return [];
  return [
    style.strong('working directories of other bundles, or of none'),
    ...others.map((workDir) => {
      const [removing, leaving] = isRemoved(workDir.first) ? [first, second] : [second, first];
      return `  ${nameOf(workDir)}  ${removing} removes it, ${leaving} leaves it`;
    }),
    '',
  ];
};
