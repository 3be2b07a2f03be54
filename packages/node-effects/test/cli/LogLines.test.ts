/** Lines of logs, wherever the reads end. */
import { ByteString as B } from '@shim-recovery/core';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { makeLogLines, maxLineBytes } from '../../src/cli/views/LogLines.js';

const web = { namespace: B.fromText('default'), id: B.fromText('web') };
const database = { namespace: B.fromText('default'), id: B.fromText('database') };

const recorded = () => {
  const said: Array<string> = [];
  return {
    said,
    logs: makeLogLines(
      (line) => void said.push(line),
      () => undefined,
    ),
  };
};

test('the same lines are said, however the bytes are cut up and whoever writes in between', () => {
  const text = fc.array(fc.constantFrom('a', 'ü', '\n', '\t', '\\', '"', '€', '\u001b', '😀'), { maxLength: 40 });
  const cuts = fc.array(fc.nat({ max: 12 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(text, cuts, (pieces, sizes) => {
      const bytes = Buffer.from(pieces.join(''));
      const whole = recorded();
      whole.logs.sink({ ...web, bytes });
      whole.logs.endAll();
      const cut = recorded();
      for (let at = 0, nth = 0; at < bytes.length; nth++) {
        const size = (sizes[nth % sizes.length] ?? 0) + 1;
        cut.logs.sink({ ...web, bytes: bytes.subarray(at, at + size) });
        cut.logs.sink({ ...database, bytes: Buffer.from('noise') });
        at += size;
      }
      cut.logs.end('default/web')();
      expect(cut.said).toEqual(whole.said);
    }),
  );
});

test('what a shim writes is said as it is, less what would steer a terminal or deceive its reader', () => {
  const { said, logs } = recorded();
  logs.sink({ ...web, bytes: Buffer.from('{"msg":"a \\"b\\""}\n\tat main.go\n\u001b[2J\u202e\nü') });
  logs.endAll();
  expect(said).toEqual([
    'default/web: {"msg":"a \\"b\\""}',
    'default/web:     at main.go',
    'default/web: \\x1b[2J\\u{202e}',
    'default/web: ü',
  ]);
});

test('a line that does not end is said in pieces, none of it lost, and not kept', () => {
  const { said, logs } = recorded();
  const bytes = Buffer.alloc(10_000, 'x');
  const writes = 100;
  for (let nth = 0; nth < writes; nth++) logs.sink({ ...web, bytes });
  expect(said.length).toBeGreaterThan(1);
  const kept = writes * bytes.length - said.join('').replaceAll('default/web: ', '').length;
  expect(kept).toBeLessThan(maxLineBytes);
  logs.endAll();
  expect(said.join('').replaceAll('default/web: ', '')).toBe('x'.repeat(writes * bytes.length));
});

test('an empty line is said, and the end of a task that left none unfinished says nothing', () => {
  const { said, logs } = recorded();
  logs.sink({ ...web, bytes: Buffer.from('\n') });
  logs.end('default/web')();
  logs.end('default/other')();
  expect(said).toEqual(['default/web: ']);
});
