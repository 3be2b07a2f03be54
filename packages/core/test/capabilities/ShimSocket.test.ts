import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBootstrap, targetOf } from '../../src/capabilities/ShimSocket.js';
import * as B from '../../src/base/ByteString.js';
import { bytes } from '../arbitraries.js';

const read = (content: string, newest: 2 | 3 = 2): unknown =>
  pipe(
    parseBootstrap(B.fromText(content), newest),
    E.matchW(
      (error) => error._tag,
      ({ protocol, address }) => `${protocol} ${address}`,
    ),
  );

describe('parseBootstrap (SPEC 9.2, 9.4)', () => {
  it.each([
    ['unix:///x', 'ttrpc unix:///x'],
    ['unix:///x\n', 'ttrpc unix:///x\n'],
    ['', 'ttrpc '],
    ['{}', 'ttrpc {}'],
    ['null', 'ttrpc null'],
    ['12', 'ttrpc 12'],
    ['[]', 'ttrpc []'],
    ['{"version":2,"address":"a","protocol":"GRPC"}', 'GRPC a'],
    ['{"version":2,"address":"a","protocol":"ttrpc"}\n', 'ttrpc a'],
    ['{"version":2,"address":"a"}', ' a'],
    ['{"version":1,"address":"a","protocol":"grpc"}', 'ttrpc {"version":1,"address":"a","protocol":"grpc"}'],
    ['{"version":3,"address":"a","protocol":"ttrpc"}', 'UnsupportedVersion'],
    ['{"version":3,"address":5}', 'UnsupportedVersion'],
    ['{"version":"2","address":"a","protocol":"grpc"}', 'ttrpc {"version":"2","address":"a","protocol":"grpc"}'],
    ['{"version":2.0,"address":"a","protocol":"grpc"}', 'ttrpc {"version":2.0,"address":"a","protocol":"grpc"}'],
    ['{"version":2e0,"address":"a","protocol":"grpc"}', 'ttrpc {"version":2e0,"address":"a","protocol":"grpc"}'],
    ['{"Version":2,"ADDRESS":"a","pRotocol":"grpc"}', 'grpc a'],
    ['{"ver\u017fion":2,"address":"a","protocol":"grpc"}', 'grpc a'],
    ['{"version":2,"version":null,"address":"a","address":"b","protocol":"grpc"}', 'grpc b'],
    ['{"version":2,"address":"a","protocol":"grpc","extra":{"a":[1,"}"]}}', 'grpc a'],
    ['{"version":2,"address":"a","protocol":"grpc"} x', 'ttrpc {"version":2,"address":"a","protocol":"grpc"} x'],
    ['{"version":2,"address":"\\u00fc\\ud800","protocol":"grpc"}', `grpc ${B.fromText('ü\ufffd')}`],
    [
      '{"version":9223372036854775808,"address":"a","protocol":"grpc"}',
      'ttrpc {"version":9223372036854775808,"address":"a","protocol":"grpc"}',
    ],
  ])('reads %j', (content, expected) => {
    expect(read(content)).toBe(expected);
  });

  it('of a daemon that knows version 3 takes both', () => {
    expect(read('{"version":3,"address":"a","protocol":"ttrpc"}', 3)).toBe('ttrpc a');
    expect(read('{"version":2,"address":"a","protocol":"grpc"}', 3)).toBe('grpc a');
    expect(read('{"version":4,"address":"a","protocol":"ttrpc"}', 3)).toBe('UnsupportedVersion');
  });

  it('answers whatever the file holds, and takes what is no JSON literally', () => {
    fc.assert(
      fc.property(bytes(), (content) => {
        const parsed = parseBootstrap(content, 2);
        if (/^[^\s{["0-9tfn-]/.test(content))
          expect(parsed).toEqual(E.right({ version: 2, address: content, protocol: 'ttrpc' }));
        else expect(E.isRight(parsed) || parsed.left._tag === 'UnsupportedVersion').toBe(true);
      }),
    );
  });

  it('finds the fields wherever they stand among others, in any case and spacing', () => {
    const space = fc.constantFrom('', ' ', '\n\t');
    const anyCase = (key: string): fc.Arbitrary<string> => fc.mixedCase(fc.constant(key));
    const other = fc.tuple(
      fc.string().filter((key) => !/^(?:version|addre[s\u017f]{2}|protocol)$/i.test(key)),
      fc.json(),
    );
    const others = fc.array(
      other.map(([key, value]) => `${JSON.stringify(key)}:${value}`),
      { maxLength: 3 },
    );
    fc.assert(
      fc.property(
        fc.tuple(anyCase('version'), anyCase('address'), anyCase('protocol'), fc.string(), others, others, space),
        ([version, address, protocol, where, before, after, gap]) => {
          const fields = [`"${version}":2`, `"${address}":${JSON.stringify(where)}`, `"${protocol}":"ttrpc"`];
          const document = `${gap}{${[...before, ...fields, ...after].join(`${gap},${gap}`)}}${gap}`;
          expect(parseBootstrap(B.fromText(document), 2)).toEqual(
            E.right({ version: 2, address: B.fromText(Buffer.from(where).toString()), protocol: 'ttrpc' }),
          );
        },
      ),
    );
  });

  it('takes a document nested too deep for the reference as no JSON', () => {
    const deep = (depth: number): string =>
      `{"version":2,"address":"a","protocol":"grpc","x":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    expect(read(deep(9_999))).toBe('grpc a');
    expect(read(deep(10_000))).toBe(`ttrpc ${deep(10_000)}`);
  });
});

describe('targetOf (SPEC 9.3, 9.5)', () => {
  const target = (address: string, protocol = 'ttrpc'): unknown =>
    targetOf({ version: 2, address: B.fromText(address), protocol: B.fromText(protocol) });
  const socketOf = (address: string): unknown =>
    pipe(
      targetOf({ version: 2, address: B.fromText(address), protocol: B.fromText('TTRPC') }),
      E.map(({ socket }) => socket),
    );

  it.each([
    ['unix:///run/x', { _tag: 'Path', path: '/run/x' }],
    ['unix://x', { _tag: 'Path', path: 'x' }],
    ['unix://@x', { _tag: 'Abstract', name: 'x' }],
    ['unix://\0x', { _tag: 'Abstract', name: 'x' }],
    ['@x', { _tag: 'Abstract', name: '@x' }],
    ['/run/x', { _tag: 'Abstract', name: '/run/x' }],
    ['vsock://1:2', { _tag: 'Abstract', name: 'vsock://1:2' }],
    ['', { _tag: 'Abstract', name: '' }],
  ])('dials %j', (address, socket) => {
    expect(socketOf(address)).toEqual(E.right(socket));
  });

  it('refuses an empty path and a protocol that nobody speaks', () => {
    expect(target('unix://')).toEqual(E.left({ _tag: 'MissingAddress' }));
    expect(target('a', 'smtp')).toEqual(E.left({ _tag: 'UnsupportedProtocol', protocol: 'smtp' }));
    expect(target('a', '')).toEqual(E.left({ _tag: 'UnsupportedProtocol', protocol: '' }));
  });

  it('refuses other schemes, and gRPC before version 3, for a daemon that knows versions', () => {
    const refusing = (version: number, address: string, protocol: string): unknown =>
      pipe(
        targetOf({ version, address: B.fromText(address), protocol: B.fromText(protocol) }, 'refused'),
        E.matchW(
          (error) => error._tag,
          ({ service }) => service,
        ),
      );
    expect(refusing(2, 'vsock://1:2', 'ttrpc')).toBe('UnsupportedProtocol');
    expect(refusing(2, 'unix:///x', 'ttrpc')).toBe('containerd.task.v2.Task');
    expect(refusing(3, 'unix:///x', 'ttrpc')).toBe('containerd.task.v3.Task');
    expect(refusing(2, 'unix:///x', 'grpc')).toBe('UnsupportedProtocol');
    expect(refusing(3, 'unix:///x', 'grpc')).toBe('containerd.task.v3.Task');
  });

  it('takes a gRPC address literally', () => {
    expect(target('unix:///x', 'gRPC')).toEqual(
      E.right({
        protocol: 'grpc',
        service: 'containerd.task.v3.Task',
        socket: { _tag: 'Path', path: 'unix:///x' },
      }),
    );
  });
});
