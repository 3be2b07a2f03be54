/** An explanation as people read it: one line for each question, then the steps as a tree. */
import type { ExplainedPath, ExplainedStep, Explanation, ExplanationRow } from '@shim-recovery/core/Explanation';
import { showStep, type Style, verdictStyle, verdictWords } from './Render.js';

const rowLine =
  (style: Style) =>
  ({ question, answer, rule }: ExplanationRow): string => {
    const step = rule.step === null ? '' : `step ${rule.step}: `;
    return `  ${question} ${style.strong(answer)} ${style.faint(`→ ${step}${rule.text}`)}`;
  };

const endLine = ({ succeeds }: ExplainedPath): string =>
  succeeds ? 'done' : 'left as it then is, and reported as failed';

const failureLines = (style: Style, { onFailure }: ExplainedStep, indent: string): ReadonlyArray<string> => {
  if (onFailure === null) return [];
  return [style.faint(`${indent}  if that fails:`), ...pathLines(style, onFailure, `${indent}    `)];
};

const pathLines = (style: Style, path: ExplainedPath, indent: string): ReadonlyArray<string> => [
  ...path.steps.flatMap((step) => [
    `${indent}${showStep({ ...step, outcome: 'planned' })}`,
    ...failureLines(style, step, indent),
  ]),
  ...(path.succeeds && path.steps.length > 0 ? [] : [style.faint(`${indent}${endLine(path)}`)]),
];

/** The whole explanation. */
export const renderExplanation =
  (style: Style) =>
  (explanation: Explanation): string => {
    const { namespace, id, policy, rows, verdict, reason, path } = explanation;
    return [
      style.strong(`${namespace}/${id}, as ${policy} decides`),
      ...rows.map(rowLine(style)),
      '',
      `${verdictStyle(style, verdict)(verdictWords[verdict])} (${reason}): ${explanation.explanation}`,
      ...(path.steps.length === 0 ? ['  nothing is done'] : pathLines(style, path, '  ')),
      '',
    ].join('\n');
  };
