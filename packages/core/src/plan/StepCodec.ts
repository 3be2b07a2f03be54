/**
 * A tree of steps as a table, as documents hold it: a row for each step with what follows it, where rows that are the same
 * are one. As trees, the steps that reap a shim would be a hundred times as long.
 */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as t from 'io-ts';
import { failed, perform, Step, type StepTree, succeeded } from './Step.js';

/** How it ends, or the number of a row. */
const Next = t.union([t.keyof({ succeeded: null, failed: null }), t.number], 'Next');

type Next = t.TypeOf<typeof Next>;

const Row = t.readonly(t.type({ step: Step, onSuccess: Next, onFailure: Next }), 'Row');

type Row = t.TypeOf<typeof Row>;

/** `first` is where it begins. Every row leads to later ones only. */
const Table = t.readonly(t.type({ first: Next, rows: t.readonlyArray(Row) }), 'StepCodec');

type Table = t.TypeOf<typeof Table>;

const tabulate = (tree: StepTree): Table => {
  /** The last row first, so that what follows a step has its number already. */
  const reversed: Array<Row> = [];
  const numbers = new Map<StepTree, number>();
  const known = new Map<string, number>();
  const visit = (at: StepTree): Next => {
    if (at._tag === 'End') return at.succeeded ? 'succeeded' : 'failed';
    const row = { step: at.step, onSuccess: numberOf(at.onSuccess), onFailure: numberOf(at.onFailure) };
    const key = JSON.stringify(row);
    const number = known.get(key) ?? reversed.push(row) - 1;
    known.set(key, number);
    return number;
  };
  const numberOf = (at: StepTree): Next => {
    const before = numbers.get(at);
    const next = before ?? visit(at);
    if (typeof next === 'number') numbers.set(at, next);
    return next;
  };
  const first = numberOf(tree);
  const turned = (next: Next): Next => (typeof next === 'number' ? reversed.length - 1 - next : next);
  return {
    first: turned(first),
    rows: reversed
      .map(({ step, onSuccess, onFailure }) => ({ step, onSuccess: turned(onSuccess), onFailure: turned(onFailure) }))
      .reverse(),
  };
};

/** None where a row leads nowhere, or back. */
const build = ({ first, rows }: Table): StepTree | undefined => {
  const trees = new Map<Next, StepTree>([
    ['succeeded', succeeded],
    ['failed', failed],
  ]);
  for (const [number, { step, onSuccess, onFailure }] of Array.from(rows.entries()).reverse()) {
    const [then, otherwise] = [trees.get(onSuccess), trees.get(onFailure)];
    if (then === undefined || otherwise === undefined) return undefined;
    trees.set(number, perform(step, then, otherwise));
  }
  return trees.get(first);
};

/** The codec: a tree here, a table in a document. */
export const StepCodec = new t.Type<StepTree, unknown, unknown>(
  'StepCodec',
  (value): value is StepTree => t.type({ _tag: t.keyof({ End: null, Do: null }) }).is(value),
  (value, context) =>
    pipe(
      Table.validate(value, context),
      E.chain((table) => {
        const tree = build(table);
        return tree === undefined ? t.failure<StepTree>(value, context) : t.success(tree);
      }),
    ),
  (tree) => Table.encode(tabulate(tree)),
);
