/** Where `careful` looks for a shim: whichever of both files can be understood. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { showSocket } from '../../src/capabilities/ShimSocket.js';
import * as B from '../../src/base/ByteString.js';
import type { Reading } from '../../src/decide/Evidence.js';
import { careful } from '../../src/policy/Policy.js';
import { shimAddress } from '../../src/decide/ShimAddress.js';
import { fileError, listed } from '../evidence.js';

const read = (content: string): Reading => ({ _tag: 'Read', content: B.fromText(content) });
const absent: Reading = { _tag: 'Absent' };
const failed: Reading = { _tag: 'Failed', error: fileError };
const v3 = (address: string): string => JSON.stringify({ version: 3, address, protocol: 'ttrpc' });

const where = (bootstrap: Reading, address: Reading): string => {
  const found = shimAddress(careful)({ ...listed, bootstrap, address });
  switch (found._tag) {
    case 'Target':
      return (
        showSocket(found.target.socket) + (found.disputed === undefined ? '' : ` or ${showSocket(found.disputed)}`)
      );
    case 'Unreadable':
      return `${found.file} ${found.reading._tag}`;
    case 'Unsupported':
      return found.error._tag;
  }
};

describe('careful looks for a shim', () => {
  it.each<readonly [string, Reading, Reading, string]>([
    ['where bootstrap.json says', read(v3('unix:///new')), absent, '/new'],
    ['where address says', absent, read('unix:///old'), '/old'],
    ['where both say', read(v3('unix:///s')), read('unix:///s'), '/s'],
    [
      'where one of both says, of which nobody knows which',
      read(v3('unix:///new')),
      read('unix:///old'),
      '/new or /old',
    ],
    ['where address says, as text is no bootstrap.json', read('hello'), read('unix:///old'), '/old'],
    ['where the text says that stands alone', read('unix:///text'), absent, '/text'],
    [
      'nowhere, as a newer version may say anything',
      read('{"version":9,"address":"unix:///x"}'),
      read('unix:///old'),
      'UnsupportedVersion',
    ],
    ['nowhere, as one file cannot be read', failed, read('unix:///old'), 'bootstrap.json Failed'],
    ['nowhere, as the other cannot be read', read('{}'), failed, 'address Failed'],
    ['nowhere, as nothing says where', absent, absent, 'address Absent'],
    ['nowhere, as nothing is said', absent, read(''), 'address Read'],
    ['nowhere, as no address stands in it', read('{}'), absent, 'NoAddress'],
    ['nowhere, as none stands in either', read('{"version":2}'), read('null'), 'NoAddress'],
    ['nowhere, as JSON is no name', absent, read('{}'), 'NoAddress'],
  ])('%s', (_, bootstrap, address, expected) => {
    expect(where(bootstrap, address)).toBe(expected);
  });

  it('where address says, whatever JSON without an address stands in bootstrap.json', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json().filter((text) => !/"(version|address)"/i.test(text)),
          fc.constantFrom('{"version":1,"address":"unix:///x"}', '{"version":"3","address":"unix:///x"}', v3('')),
        ),
        (text) => {
          expect(where(read(text), read('unix:///old'))).toBe('/old');
        },
      ),
    );
  });
});
