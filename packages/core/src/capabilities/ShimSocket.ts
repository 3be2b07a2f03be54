/** How a shim is reached: the contents of a bundle's `address` file, decoded (SPEC 9.2, 9.3, 9.5). */
import * as E from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import * as B from '../base/ByteString.js';
import { integerField, parseDocument, stringField } from '../base/GoJson.js';

/** The parameters that a shim printed when it was started, or that its `address` file holds. */
export const BootstrapParameters = t.readonly(
  t.type({ version: t.number, address: B.ByteString, protocol: B.ByteString }),
  'BootstrapParameters',
);

export interface BootstrapParameters extends t.TypeOf<typeof BootstrapParameters> {}

/** A unix socket: one in the file system, or an abstract one, whose name is exactly these bytes after the NUL. */
export const SocketName = t.union(
  [
    t.readonly(t.type({ _tag: t.literal('Path'), path: B.ByteString })),
    t.readonly(t.type({ _tag: t.literal('Abstract'), name: B.ByteString })),
  ],
  'SocketName',
);

export type SocketName = t.TypeOf<typeof SocketName>;

/** Where to dial, and which service answers there. */
export const ShimTarget = t.readonly(
  t.type({ protocol: t.keyof({ ttrpc: null, grpc: null }), service: t.string, socket: SocketName }),
  'ShimTarget',
);

export interface ShimTarget extends t.TypeOf<typeof ShimTarget> {}

/**
 * - `UnsupportedVersion`: newer than this policy can speak to (H24).
 * - `UnsupportedProtocol`: neither ttrpc nor gRPC.
 * - `MissingAddress`: `unix://` with nothing behind it.
 * - `NoAddress`: JSON in which none stands, where that is not taken for a name itself.
 * - `NotDialable`: a text that is not the address of a unix socket in any form that shims write.
 */
export const BootstrapError = t.union(
  [
    t.readonly(t.type({ _tag: t.literal('UnsupportedVersion'), version: t.number })),
    t.readonly(t.type({ _tag: t.literal('UnsupportedProtocol'), protocol: B.ByteString })),
    t.readonly(t.type({ _tag: t.literal('MissingAddress') })),
    t.readonly(t.type({ _tag: t.literal('NoAddress') })),
    t.readonly(t.type({ _tag: t.literal('NotDialable'), address: B.ByteString })),
  ],
  'BootstrapError',
);

export type BootstrapError = t.TypeOf<typeof BootstrapError>;

/** The whole text, untrimmed, as the address of a ttrpc socket. */
export const legacyParameters = (address: B.ByteString): BootstrapParameters => ({
  version: 2,
  address,
  protocol: B.fromText('ttrpc'),
});

/** Reads text as an address, and JSON of version 2 up to `newest`; any other JSON names none (`NoAddress`). */
export const parseStrictly = (content: B.ByteString, newest: 2 | 3): E.Either<BootstrapError, BootstrapParameters> => {
  const document = parseDocument(content);
  if (E.isLeft(document)) return E.right(legacyParameters(content));
  const version = integerField('version', 0)(document.right);
  const address = stringField('address', B.empty)(document.right);
  const protocol = stringField('protocol', B.empty)(document.right);
  if (version.value > newest) return E.left({ _tag: 'UnsupportedVersion', version: version.value });
  const failed = document.right.mistyped || version.mistyped || address.mistyped || protocol.mistyped;
  return failed || version.value < 2
    ? E.left({ _tag: 'NoAddress' })
    : E.right({ version: version.value, address: address.value, protocol: protocol.value });
};

/**
 * Reads what a shim answered: JSON of version 2 up to `newest`, or, when it is not JSON or of an older version, the
 * whole text as an address (SPEC 9.2, 9.4).
 */
export const parseBootstrap = (content: B.ByteString, newest: 2 | 3): E.Either<BootstrapError, BootstrapParameters> => {
  const parsed = parseStrictly(content, newest);
  return E.isLeft(parsed) && parsed.left._tag === 'NoAddress' ? E.right(legacyParameters(content)) : parsed;
};

/**
 * How an address with another scheme than `unix` is read (SPEC 9.5): as an abstract name like any other, or not at all.
 * `known-forms` takes only the forms that shims are known to write (SPEC 1.3). A socket of another kind is not dialled as if
 * it were an abstract one, as its refusal would look like the death of its shim.
 */
export type OtherSchemes = 'abstract' | 'refused' | 'known-forms';

/**
 * Where these parameters lead. gRPC takes the address literally, so `unix:///x` is a relative path there (SPEC 9.7); and
 * it counts as version 3 even if the file names an older one. With schemes `refused`, an older one is an error.
 */
export const targetOf = (
  { version, address, protocol }: BootstrapParameters,
  schemes: OtherSchemes = 'abstract',
): E.Either<BootstrapError, ShimTarget> => {
  switch (protocol.toLowerCase()) {
    case 'ttrpc':
      if (schemes === 'known-forms' && !isKnownTtrpcForm(address)) return E.left({ _tag: 'NotDialable', address });
      return schemes === 'refused' && /^(?!unix:)[^/]*:\/\//.test(address)
        ? E.left({ _tag: 'UnsupportedProtocol', protocol: address })
        : ttrpcTarget(version, ttrpcSocket(address));
    case 'grpc':
      if (schemes === 'known-forms' && !isKnownGrpcForm(address)) return E.left({ _tag: 'NotDialable', address });
      return schemes === 'refused' && version < 3
        ? E.left({ _tag: 'UnsupportedProtocol', protocol })
        : E.right({ protocol: 'grpc', service: serviceOf(3), socket: { _tag: 'Path', path: address } });
    default:
      return E.left({ _tag: 'UnsupportedProtocol', protocol });
  }
};

const isKnownTtrpcForm = (address: B.ByteString): boolean =>
  !hasControls(address.startsWith('unix://\0') ? address.slice(8) : address) &&
  (/^unix:\/\/(?:\/|@.|\0.)/.test(address) || oldAbstractName.test(address));

/** Control characters, NULs among them: no shim writes them, and a file that lost its content may hold them. */
const hasControls = (address: string): boolean => /[\x00-\x1f\x7f]/.test(address);

/** The abstract names that shims before 1.4 wrote, without a scheme. */
const oldAbstractName = /^\/containerd-shim\/(?:[^/]+\/[^/]+\/shim|[0-9a-f]{64})\.sock$/;

const ttrpcTarget = (
  version: number,
  socket: E.Either<BootstrapError, SocketName>,
): E.Either<BootstrapError, ShimTarget> =>
  E.isLeft(socket) ? socket : E.right({ protocol: 'ttrpc', service: serviceOf(version), socket: socket.right });

const serviceOf = (version: number): string => `containerd.task.v${version}.Task`;

const ttrpcSocket = (address: B.ByteString): E.Either<BootstrapError, SocketName> => {
  if (!address.startsWith(unixScheme)) return E.right({ _tag: 'Abstract', name: address });
  const path = B.slice(address, unixScheme.length);
  if (path === '') return E.left({ _tag: 'MissingAddress' });
  return E.right(
    path.startsWith('@') || path.startsWith('\0')
      ? { _tag: 'Abstract', name: B.slice(path, 1) }
      : { _tag: 'Path', path },
  );
};

const unixScheme = 'unix://';

const isKnownGrpcForm = (address: B.ByteString): boolean => address.startsWith('/') && !hasControls(address);

/** A socket as people write it. */
export const showSocket = (socket: SocketName): string =>
  socket._tag === 'Path' ? B.show(socket.path) : `@${B.show(socket.name)} (abstract)`;

/** A sentence for people. */
export const showBootstrapError = (error: BootstrapError): string => {
  switch (error._tag) {
    case 'UnsupportedVersion':
      return `what says where the shim listens is of version ${error.version}, newer than this policy understands`;
    case 'UnsupportedProtocol':
      return `what says where the shim listens names the protocol "${B.show(error.protocol)}", neither ttrpc nor grpc`;
    case 'MissingAddress':
      return 'what says where the shim listens names no socket';
    case 'NoAddress':
      return 'what should say where the shim listens is JSON without an address';
    case 'NotDialable':
      return showNotDialable(error.address);
  }
};

const showNotDialable = (address: B.ByteString): string => {
  const shown = B.show(B.slice(address, 0, longestShownAddress));
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(address)?.[1];
  if (/^\0*$/.test(address)) return 'what says where the shim listens holds only NUL bytes: its content was lost';
  return scheme === undefined || scheme === 'unix'
    ? `what says where the shim listens is not the address of a unix socket: "${shown}"`
    : `its shim listens at an address of the scheme ${scheme}, which this program does not dial: "${shown}"`;
};

const longestShownAddress = 80;
