/** Where a policy's daemon would look for a bundle's shim, from what the bundle holds (SPEC 9.1 to 9.6). */
import * as E from 'fp-ts/lib/Either.js';
import {
  type BootstrapError,
  type BootstrapParameters,
  legacyParameters,
  type OtherSchemes,
  parseBootstrap,
  parseStrictly,
  type ShimTarget,
  showSocket,
  type SocketName,
  targetOf,
} from '../capabilities/ShimSocket.js';
import * as B from '../base/ByteString.js';
import type { BundleContents, Reading } from './Evidence.js';
import { parseDocument } from '../base/GoJson.js';
import type { Policy } from '../policy/Policy.js';

type Listed = Extract<BundleContents, { readonly _tag: 'Listed' }>;

/**
 * - `Unreadable`: the file that should say it cannot be read, is missing, or says nothing.
 * - `Unsupported`: it says what this daemon does not understand.
 * - `Target`: there. `fallback` is asked when the shim does not implement what `target` asks; `migrated` is what the
 *   daemon would write down as `bootstrap.json`; `disputed` is where the bundle's other file says that it is.
 */
export type ShimAddress =
  | { readonly _tag: 'Unreadable'; readonly file: 'address' | 'bootstrap.json'; readonly reading: Reading }
  | { readonly _tag: 'Unsupported'; readonly error: BootstrapError; readonly migrated?: B.ByteString }
  | {
      readonly _tag: 'Target';
      readonly target: ShimTarget;
      readonly fallback?: ShimTarget;
      readonly migrated?: B.ByteString;
      readonly disputed?: SocketName;
      /** The bundle's other file, where it cannot be understood: what it said is lost, and may have been another address. */
      readonly lost?: 'address' | 'bootstrap.json';
    };

/** Where the shim is, as far as the bundle says it to this daemon. */
export const shimAddress =
  ({ bootstrap }: Pick<Policy, 'bootstrap'>) =>
  (contents: Listed): ShimAddress => {
    switch (bootstrap) {
      case 'address-text':
        return fromAddress(contents, (content) => E.right(legacyParameters(content)));
      case 'address':
        return fromAddress(contents, (content) => parseBootstrap(content, 2));
      case 'bootstrap':
        return fromBootstrap(contents);
      case 'either':
        return fromEither(contents);
    }
  };

const fromAddress = (
  { address }: Listed,
  parse: (content: B.ByteString) => ReturnType<typeof parseBootstrap>,
): ShimAddress => {
  if (address._tag !== 'Read') return { _tag: 'Unreadable', file: 'address', reading: address };
  const parameters = parse(address.content);
  const target = E.isLeft(parameters) ? parameters : targetOf(parameters.right);
  return E.isLeft(target) ? { _tag: 'Unsupported', error: target.left } : { _tag: 'Target', target: target.right };
};

const fromBootstrap = ({ bootstrap, address }: Listed): ShimAddress => {
  if (bootstrap._tag === 'Read') return fromParameters(parseBootstrap(bootstrap.content, 3));
  if (bootstrap._tag === 'Failed') return { _tag: 'Unreadable', file: 'bootstrap.json', reading: bootstrap };
  if (address._tag !== 'Read' || address.content === '')
    return { _tag: 'Unreadable', file: 'address', reading: address };
  return fromParameters(E.right(legacyParameters(address.content)), { migrated: migration(address.content) });
};

const fromParameters = (
  parsed: E.Either<BootstrapError, BootstrapParameters>,
  migrated: { readonly migrated?: B.ByteString } = {},
  schemes: OtherSchemes = 'refused',
): ShimAddress => {
  if (E.isLeft(parsed)) return { _tag: 'Unsupported', error: parsed.left, ...migrated };
  const parameters = parsed.right;
  const target = targetOf(parameters, schemes);
  if (E.isLeft(target)) return { _tag: 'Unsupported', error: target.left, ...migrated };
  // Downgraded in memory only, one version at a time, and only over ttrpc is there an older one (SPEC 9.6).
  const older = parameters.version < 3 ? undefined : targetOf({ ...parameters, version: 2 }, schemes);
  const fallback = older !== undefined && E.isRight(older) ? { fallback: older.right } : {};
  return { _tag: 'Target', target: target.right, ...fallback, ...migrated };
};

/** The `bootstrap.json` that 2.x makes of a lone `address`: it takes the text as it is, and never decodes it (H23). */
const migration = (address: B.ByteString): B.ByteString =>
  B.fromText(JSON.stringify({ version: 2, address: B.toText(address), protocol: 'ttrpc' }));

/** Whichever says something: a document first, then the text of `address`; JSON of any version that is understood. */
const fromEither = ({ bootstrap, address }: Listed): ShimAddress => {
  if (bootstrap._tag === 'Failed') return { _tag: 'Unreadable', file: 'bootstrap.json', reading: bootstrap };
  const isText = bootstrap._tag === 'Read' && bootstrap.content !== '' && E.isLeft(parseDocument(bootstrap.content));
  const first = isText && address._tag !== 'Absent' ? undefined : saidIn(bootstrap);
  const second = saidIn(address);
  if (namesOne(first)) {
    const there = fromParameters(first, {}, 'known-forms');
    return there._tag === 'Target' ? { ...there, ...disputeIn(second, there.target) } : there;
  }
  const said = second ?? first;
  if (said === undefined || address._tag === 'Failed') return { _tag: 'Unreadable', file: 'address', reading: address };
  const there = fromParameters(said, {}, 'known-forms');
  return isText && there._tag === 'Target' && second !== undefined ? { ...there, lost: 'bootstrap.json' } : there;
};

/** The address in a file; undefined where the file is silent. JSON that names no address is not itself a name to be dialled. */
const saidIn = (reading: Reading): Said | undefined => {
  if (reading._tag !== 'Read' || reading.content === '') return undefined;
  const parsed = parseStrictly(reading.content, 3);
  return E.isRight(parsed) && parsed.right.address === '' ? noAddress : parsed;
};

type Said = E.Either<BootstrapError, BootstrapParameters>;

const noAddress: Said = E.left({ _tag: 'NoAddress' });

const namesOne = (said: Said | undefined): said is Said =>
  said !== undefined && (E.isRight(said) || said.left._tag !== 'NoAddress');

/** Where the other file says that it is, if that is somewhere else; or that it says something that is lost. */
const disputeIn = (
  said: Said | undefined,
  { socket }: ShimTarget,
): { readonly disputed?: SocketName; readonly lost?: 'address' } => {
  const other = said === undefined ? undefined : fromParameters(said, {}, 'known-forms');
  if (other?._tag === 'Unsupported') return { lost: 'address' };
  return other?._tag === 'Target' && showSocket(other.target.socket) !== showSocket(socket)
    ? { disputed: other.target.socket }
    : {};
};
