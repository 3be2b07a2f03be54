/**
 * A ttrpc client over a connected socket: any number of unary calls at once, each with its own absolute deadline
 * (SPEC 16.1, 13).
 *
 * The peer is not trusted. Nothing it sends, or fails to send, prolongs a call; frames that answer no pending call are
 * dropped; a flood of them is read at a walking pace, so that neither memory nor the event loop suffers.
 */
import { isExhaustionCode } from '@shim-recovery/core/FileSystem';
import { answered, type ShimError } from '@shim-recovery/core/ShimConnector';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import type { IO } from 'fp-ts/lib/IO.js';
import type { Task } from 'fp-ts/lib/Task.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import { longestTimerMs } from '../Clock.js';
import { connectionOver } from '../Connection.js';
import { decode, showMalformedMessage } from '../protobuf/Message.js';
import { Response } from '../protobuf/TtrpcMessages.js';
import { encodeFrame, type FrameEvent, FrameType, headerBytes, makeFrameDecoder, maxPayloadBytes } from './Frame.js';
import { requestFrame, type UnaryCall } from './RequestFrame.js';

export interface TtrpcClient {
  /**
   * What the peer answered, its status not yet looked at: `Closed` when the connection ended first (`DialFailed` where this
   * process lacked what it needs to use it), `TimedOut` after
   * the deadline, `ProtocolError` when a frame came that is no answer, `Answered` when the answer was too long to read.
   */
  readonly call: (call: UnaryCall) => TaskEither<ShimError, Response>;
  /** Ends the connection and waits until it has ended. Closing twice is harmless. */
  readonly close: Task<void>;
  /** Completes once, when the connection has ended, by either side; all pending calls have failed by then. */
  readonly disconnected: Task<void>;
}

const resourceExhausted = 8;

const lastStreamId = 0xffff_ffff;

/** After so much that nobody asked for, the connection is not read for a while. */
const unaskedFramesBeforeSilence = 64;
const unaskedBytesBeforeSilence = 2 * maxPayloadBytes;
const silenceMs = 100;
const longestSilenceMs = 1_000;

const protocolError = (message: string): ShimError => ({ _tag: 'ProtocolError', message });
const closed: ShimError = { _tag: 'Closed' };

/** That this process lacks what it needs says nothing of the shim, which did not hang up. */
const endOf = (code: string | undefined): ShimError =>
  code !== undefined && isExhaustionCode(code)
    ? { _tag: 'DialFailed', code, message: 'the connection cannot be used any more' }
    : closed;

type Outcome = E.Either<ShimError, Response>;

/** What a frame means to the unary call of its stream. */
const outcomeOf = (event: FrameEvent): Outcome => {
  if (event._tag === 'Oversized')
    return E.left(
      answered(resourceExhausted, `an answer of ${event.lengthBytes} bytes, more than the ${maxPayloadBytes} allowed`),
    );
  if (event.frame.type !== FrameType.response)
    return E.left(protocolError(`a frame of type ${event.frame.type} where the answer was due`));
  return pipe(
    decode(Response)(event.frame.payload),
    E.mapLeft((malformed) => protocolError(showMalformedMessage(malformed))),
  );
};

const streamIdOf = (event: FrameEvent): number => (event._tag === 'Oversized' ? event.streamId : event.frame.streamId);

const sizeBytesOf = (event: FrameEvent): number =>
  headerBytes + (event._tag === 'Oversized' ? event.lengthBytes : event.frame.payload.length);

/** Takes over a connected socket, which does not block. Left: the errno why it cannot be read; it is closed then. */
export const clientOver = (socket: number): E.Either<string, TtrpcClient> => {
  const decoder = makeFrameDecoder();
  const pending = new Map<number, (outcome: Outcome) => void>();
  let nextStreamId = 1;
  let end: ShimError | undefined;
  let unaskedFrames = 0;
  let unaskedBytes = 0;
  let silence: NodeJS.Timeout | undefined;
  let tellEnd: IO<void> = () => undefined;
  const ended = new Promise<void>((resolve) => {
    tellEnd = resolve;
  });

  const payForTheUnasked = (): void => {
    const silences =
      Math.floor(unaskedFrames / unaskedFramesBeforeSilence) + Math.floor(unaskedBytes / unaskedBytesBeforeSilence);
    if (silences === 0 || end !== undefined || E.isLeft(opened)) return;
    unaskedFrames %= unaskedFramesBeforeSilence;
    unaskedBytes %= unaskedBytesBeforeSilence;
    opened.right.pause();
    silence = setTimeout(opened.right.resume, Math.min(silences * silenceMs, longestSilenceMs));
  };

  const opened = connectionOver(socket, {
    received: (chunk) => {
      unaskedBytes += chunk.length;
      for (const event of decoder.push(chunk)) {
        const finish = pending.get(streamIdOf(event));
        if (finish === undefined) {
          unaskedFrames += 1;
        } else {
          unaskedBytes = Math.max(0, unaskedBytes - sizeBytesOf(event));
          finish(outcomeOf(event));
        }
      }
      payForTheUnasked();
    },
    ended: (code) => {
      end = endOf(code);
      clearTimeout(silence);
      for (const finish of pending.values()) finish(E.left(end));
      tellEnd();
    },
  });
  if (E.isLeft(opened)) return opened;
  const connection = opened.right;

  const call =
    (unary: UnaryCall): TaskEither<ShimError, Response> =>
    () =>
      new Promise((resolve) => {
        const timeoutMs = Math.min(unary.timeoutMs, longestTimerMs);
        const streamId = nextStreamId;
        const frame = requestFrame(streamId, { ...unary, timeoutMs });
        if (end !== undefined) return resolve(E.left(end));
        if (streamId > lastStreamId) return resolve(E.left(protocolError('no stream ids are left')));
        if (frame.payload.length > maxPayloadBytes)
          return resolve(E.left(protocolError(`a request of ${frame.payload.length} bytes is too long to send`)));
        nextStreamId += 2;
        const finish = (outcome: Outcome): void => {
          pending.delete(streamId);
          clearTimeout(deadline);
          resolve(outcome);
        };
        const deadline = setTimeout(() => {
          // Timers come before everything else. After a stall of ours the answer may already be here.
          connection.readNow();
          if (pending.has(streamId)) finish(E.left({ _tag: 'TimedOut', afterMs: unary.timeoutMs }));
        }, timeoutMs);
        pending.set(streamId, finish);
        connection.send(encodeFrame(frame));
      });

  return E.right({
    call,
    close: () => {
      connection.close();
      return ended;
    },
    disconnected: () => ended,
  });
};
