import type { Reporter, SerializedError, TestModule, TestRunEndReason, Vitest } from 'vitest/node';

type Counts = { passed: number; failed: number; skipped: number };

const isSet = (name: string): boolean => !['', '0', 'false'].includes(process.env[name] ?? '');

/** A skip hides something that was to be checked; where everything is installed nothing may be hidden. */
const skipsAreFailures = isSet('CI') || isSet('SHIM_RECOVERY_REQUIRE_E2E');

/**
 * Lists every skipped test with its reason, then ends standard output with `N passed, N failed` (and `, N skipped`).
 * Written on process exit because coverage and other reporters still print after the run has ended.
 */
export class PlainReporter implements Reporter {
  private vitest: Vitest | undefined;
  private counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  private skips: string[] = [];
  private ended = false;

  onInit(vitest: Vitest): void {
    this.vitest = vitest;
    process.once('exit', () => this.printSummary());
  }

  onTestRunEnd(
    modules: readonly TestModule[],
    unhandledErrors: readonly SerializedError[],
    reason: TestRunEndReason,
  ): void {
    this.ended = reason !== 'interrupted';
    this.counts = { passed: 0, failed: unhandledErrors.length, skipped: 0 };
    this.skips = [];
    modules.forEach((module) => this.countModule(module));
  }

  private countModule(module: TestModule): void {
    // Errors of a file, of its suites and of their hooks belong to no test; without this they would not be counted.
    const suites = [...module.children.allSuites()];
    this.counts.failed += [module, ...suites].filter((owner) => owner.errors().length > 0).length;
    for (const test of module.children.allTests()) {
      const result = test.result();
      if (result.state === 'passed') this.counts.passed += 1;
      else if (result.state === 'skipped' && this.isFilteredOut()) continue;
      else if (result.state === 'skipped' && test.options.mode !== 'todo')
        this.addSkip(module, test.fullName, result.note);
      else if (result.state === 'skipped') this.addSkip(module, test.fullName, 'still to be written');
      else this.counts.failed += 1;
    }
  }

  /** With `-t PATTERN` every other test is reported as skipped, which was asked for. */
  private isFilteredOut(): boolean {
    return this.vitest?.config.testNamePattern !== undefined;
  }

  private addSkip(module: TestModule, name: string, note: string | undefined): void {
    this.skips.push(`skipped: ${module.relativeModuleId} > ${name}: ${note ?? 'no reason given'}`);
    this.counts[skipsAreFailures ? 'failed' : 'skipped'] += 1;
  }

  private printSummary(): void {
    // Neither a run that never ended nor one refused for another reason may look as if nothing failed.
    if (!this.ended || (this.counts.failed === 0 && (process.exitCode ?? 0) !== 0)) this.counts.failed += 1;
    if (this.counts.failed > 0 && (process.exitCode ?? 0) === 0) process.exitCode = 1;
    if (this.skips.length > 0 && skipsAreFailures) this.skips.push('a skipped test counts as a failure here');
    const { passed, failed, skipped } = this.counts;
    const summary = `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
    process.stdout.write(`${[...this.skips, summary].join('\n')}\n`);
  }
}
