/**
 * What every interpreter of a capability must do, as data that any test runner can run:
 *
 * ```ts
 * for (const law of storeLaws(openMyStores)) test(law.name, async () => expect(await law.violations()).toEqual([]));
 * ```
 */
import * as fc from 'fast-check';

export interface Law {
  readonly name: string;
  /** Tries the law; each violation is a sentence, and none is good news. Never rejects. */
  readonly violations: () => Promise<ReadonlyArray<string>>;
}

/** How often laws about anything at all are tried, and from which seed: by default 100 times, from a new one. */
export interface Trials {
  readonly numRuns?: number;
  readonly seed?: number;
}

/** What a law is tried on; it is taken away when the law is done. */
export interface Disposable {
  readonly dispose: () => Promise<void>;
}

/** A law about one situation. */
export const law =
  <S extends Disposable>(open: () => Promise<S>) =>
  (name: string, check: (subject: S) => Promise<ReadonlyArray<string>>): Law => ({
    name,
    violations: () => using(open, check),
  });

/** Opens something fresh, uses it, and takes it away again whatever happened. */
const using = async <S extends Disposable>(
  open: () => Promise<S>,
  use: (subject: S) => Promise<ReadonlyArray<string>>,
): Promise<ReadonlyArray<string>> => {
  const patience = outOfPatience(`it took more than ${patienceMs / 1000} s`);
  let subject: S | undefined;
  try {
    subject = await open();
    return await Promise.race([use(subject), patience.elapsed]);
  } catch (error) {
    return rejected(error);
  } finally {
    patience.cancel();
    await subject?.dispose();
  }
};

const outOfPatience = (
  what: string,
): { readonly elapsed: Promise<ReadonlyArray<string>>; readonly cancel: () => void } => {
  let cancel = (): void => undefined;
  const elapsed = new Promise<ReadonlyArray<string>>((resolve) => {
    const timer = setTimeout(() => resolve([what]), patienceMs);
    cancel = () => clearTimeout(timer);
  });
  return { elapsed, cancel };
};

/** How long a law may take in which something might never end. */
const patienceMs = 20_000;

const rejected = (error: unknown): ReadonlyArray<string> => [`it threw, which no capability may: ${describe(error)}`];

const describe = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** A law about anything that an arbitrary gives; the smallest violation found is told, with what it was found on. */
export const lawOfAll =
  <A>(arbitrary: fc.Arbitrary<A>, trials: Trials = {}) =>
  <S extends Disposable>(
    open: (value: A) => Promise<S>,
    name: string,
    check: (subject: S, value: A) => Promise<ReadonlyArray<string>>,
  ): Law => ({
    name,
    violations: async () => {
      const details = await fc.check(
        fc.asyncProperty(arbitrary, async (value) => {
          const found = await using(
            () => open(value),
            (subject) => check(subject, value),
          );
          if (found.length > 0) throw new Error(found.join('; '));
        }),
        trials,
      );
      if (!details.failed) return [];
      return [`${describe(details.errorInstance)}\n${fc.defaultReportMessage(details) ?? ''}`];
    },
  });

/** No violation, or the sentence that says what was expected and what came. */
export const expectSame = (what: string, actual: unknown, expected: unknown): ReadonlyArray<string> => {
  const [got, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
  return got === wanted ? [] : [`${what}: expected ${wanted}, got ${got}`];
};
