/** An explanation as people read it: one line for each question, then the steps. */
import {
  type ExplainedPath,
  type ExplainedSource,
  type ExplainedStep,
  type Explanation,
  type ExplanationRow,
  verdictWords,
} from '@shim-recovery/core/documents';
import { showStep, type Style, verdictStyle } from './Render.js';

/** The whole explanation. */
export const renderExplanation =
  (style: Style) =>
  (explanation: Explanation): string => {
    const { namespace, id, policy, rows, verdict, reason, path, sources } = explanation;
    return [
      style.strong(`${namespace}/${id}, as ${policy} decides`),
      ...rows.map(rowLine(style)),
      ...(sources.length === 0
        ? []
        : ['', style.strong('what each source says of its life'), ...sources.map(sourceLine(style))]),
      '',
      `${verdictStyle(style, verdict)(verdictWords[verdict])} (${reason}): ${explanation.explanation}`,
      ...(path.steps.length === 0 ? ['  nothing is done'] : path.steps.flatMap(stepLines(style))),
      '',
    ].join('\n');
  };

const rowLine =
  (style: Style) =>
  ({ question, answer, rule }: ExplanationRow): string => {
    const step = rule.step === null ? '' : `step ${rule.step}: `;
    return `  ${question} ${style.strong(answer)} ${style.faint(`→ ${step}${rule.text}`)}`;
  };

const sourceLine =
  (style: Style) =>
  ({ source, state, says }: ExplainedSource): string => {
    const marks = { alive: style.good, dead: style.faint, unknown: style.strong, none: style.faint };
    return `  ${source.padEnd(sourceWidth)}  ${marks[state]((state === 'none' ? '-' : state).padEnd(7))}  ${says}`;
  };

const sourceWidth = 16;

/** A step; and below it what follows its failure, if nothing else fails. */
const stepLines =
  (style: Style) =>
  ({ onFailure, ...step }: ExplainedStep): ReadonlyArray<string> => [
    `  ${showStep({ ...step, outcome: 'planned' })}`,
    ...(onFailure === null ? [] : [style.faint(`    if it fails: ${pathText(onFailure)}`)]),
  ];

const pathText = ({ steps, succeeds }: ExplainedPath): string =>
  [
    ...steps.map((step) => showStep({ ...step, outcome: 'planned' })),
    ...(succeeds ? [] : [steps.length === 0 ? 'nothing more, and it is reported' : 'and it is reported']),
  ].join(', ');
