import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { reportStep } from '../../src/report/Report.js';

it('what somebody else says of a step is one line, and steers no terminal', () => {
  const anyText = fc.string({
    unit: fc.constantFrom('a', '\n', '\r', '\u001b', '\u0085', '\u009b', '\u202e', '\u2029', '€'),
  });
  fc.assert(
    fc.property(anyText, anyText, (error, detail) => {
      const report = reportStep({ _tag: 'CallDelete' }, 'failed', { error, detail });
      expect(`${report.error}${report.detail}`).toMatch(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$/u);
    }),
  );
  expect(reportStep({ _tag: 'CallDelete' }, 'failed', { error: 'a\u001bb' })).toEqual({
    step: 'call-delete',
    outcome: 'failed',
    error: 'a\\u{1b}b',
  });
});
