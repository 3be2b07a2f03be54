/**
 * A ttrpc client over a connected socket: any number of unary calls at once, each with its own absolute deadline
 * (SPEC 16.1, 13).
 *
 * The peer is not trusted. Nothing it sends, or fails to send, prolongs a call; frames that answer no pending call are
 * dropped; a flood of them is read at a walking pace, so that neither memory nor the event loop suffers.
 */
import { answered, isExhaustionCode, type ShimError } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import type { IO } from 'fp-ts/lib/IO.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import { longestTimerMs, systemClock } from '../../linux/LinuxClock.js';
import { type Connection, connectionOver, type Receiver } from '../Connection.js';
import { decode, showMalformedMessage } from '../../protobuf/Message.js';
import { Response } from '../../protobuf/TtrpcMessages.js';
import {
  encodeFrame,
  type FrameDecoder,
  type FrameEvent,
  FrameType,
  headerBytes,
  makeFrameDecoder,
  maxPayloadBytes,
} from './Frame.js';
import { requestFrame, type UnaryCall } from './RequestFrame.js';

export interface TtrpcClient {
  /**
   * What the peer answered, its status not yet looked at: `Closed` when the connection ended first (`DialFailed` where this
   * process lacked what it needs to use it), `TimedOut` after
   * the deadline, `ProtocolError` when a frame came that is no answer, `Answered` when the answer was too long to read.
   */
  call(call: UnaryCall): TaskEither<ShimError, Response>;
  /** Ends the connection; all pending calls have failed then. Closing twice is harmless. */
  close(): Promise<void>;
  /** Completes when the connection has ended, by either side; all pending calls have failed by then. */
  disconnected(): Promise<void>;
}

const resourceExhausted = 8;

const lastStreamId = 0xffff_ffff;

/** After so much that nobody asked for, the connection is not read for a while. */
const unaskedFramesBeforeSilence = 64;

const unaskedBytesBeforeSilence = 2 * maxPayloadBytes;

const silenceMs = 100;

const longestSilenceMs = 1_000;

/** Takes over a connected socket, which does not block. Left: the errno why it cannot be read; it is closed then. */
export const clientOver = (socket: number): E.Either<string, TtrpcClient> => {
  const client = new ConnectedClient();
  return pipe(
    client.open(socket),
    E.map(() => client),
  );
};

/** That this process lacks what it needs says nothing of the shim, which did not hang up. */
const endOf = (code: string | undefined): ShimError =>
  code !== undefined && isExhaustionCode(code)
    ? { _tag: 'DialFailed', code, message: 'the connection cannot be used any more' }
    : closed;

const closed: ShimError = { _tag: 'Closed' };

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

type Outcome = E.Either<ShimError, Response>;

const protocolError = (message: string): ShimError => ({ _tag: 'ProtocolError', message });

const streamIdOf = (event: FrameEvent): number => (event._tag === 'Oversized' ? event.streamId : event.frame.streamId);

const sizeBytesOf = (event: FrameEvent): number =>
  headerBytes + (event._tag === 'Oversized' ? event.lengthBytes : event.frame.payload.length);

/** Methods rather than closures, as of all that waits by the thousand (`Epoll.ts`). */
class ConnectedClient implements TtrpcClient, Receiver {
  private connection: Connection | undefined;
  private readonly pending = new Map<number, (outcome: Outcome) => void>();
  private nextStreamId = 1;
  private end: ShimError | undefined;
  /** From when the first bytes come: whoever never answers needs none. */
  private decoder: FrameDecoder | undefined;
  private unaskedFrames = 0;
  private unaskedBytes = 0;
  private silence: NodeJS.Timeout | undefined;
  /** Who waits for the end. */
  private whenEnded: Promise<void> | undefined;
  private tellEnd: IO<void> | undefined;

  /** Left: the errno why the socket cannot be read; it is closed then. */
  public open(socket: number): E.Either<string, void> {
    const opened = connectionOver(socket, this);
    if (E.isLeft(opened)) return opened;
    this.connection = opened.right;
    return E.right(undefined);
  }

  public received(chunk: Uint8Array): void {
    this.unaskedBytes += chunk.length;
    this.decoder ??= makeFrameDecoder();
    for (const event of this.decoder.push(chunk)) {
      const finish = this.pending.get(streamIdOf(event));
      if (finish === undefined) {
        this.unaskedFrames += 1;
      } else {
        this.unaskedBytes = Math.max(0, this.unaskedBytes - sizeBytesOf(event));
        finish(outcomeOf(event));
      }
    }
    this.payForTheUnasked();
  }

  public ended(code: string | undefined): void {
    this.end = endOf(code);
    clearTimeout(this.silence);
    for (const finish of this.pending.values()) finish(E.left(this.end));
    this.tellEnd?.();
  }

  public call(unary: UnaryCall): TaskEither<ShimError, Response> {
    return () => this.callNow(unary);
  }

  public async close(): Promise<void> {
    this.connection?.close();
  }

  public disconnected(): Promise<void> {
    if (this.end !== undefined) return Promise.resolve();
    this.whenEnded ??= new Promise((resolve) => {
      this.tellEnd = resolve;
    });
    return this.whenEnded;
  }

  private payForTheUnasked(): void {
    const silences =
      Math.floor(this.unaskedFrames / unaskedFramesBeforeSilence) +
      Math.floor(this.unaskedBytes / unaskedBytesBeforeSilence);
    if (silences === 0 || this.end !== undefined) return;
    this.unaskedFrames %= unaskedFramesBeforeSilence;
    this.unaskedBytes %= unaskedBytesBeforeSilence;
    this.connection?.pause();
    this.silence = setTimeout(() => this.connection?.resume(), Math.min(silences * silenceMs, longestSilenceMs));
  }

  private callNow(unary: UnaryCall): Promise<Outcome> {
    const timeoutMs = Math.min(unary.timeoutMs, longestTimerMs);
    const streamId = this.nextStreamId;
    const frame = requestFrame(streamId, { ...unary, timeoutMs });
    const fail = async (error: ShimError): Promise<Outcome> => E.left(error);
    if (this.end !== undefined) return fail(this.end);
    if (streamId > lastStreamId) return fail(protocolError('no stream ids are left'));
    if (frame.payload.length > maxPayloadBytes)
      return fail(protocolError(`a request of ${frame.payload.length} bytes is too long to send`));
    this.nextStreamId += 2;
    const outcome = this.whenAnswered(streamId, timeoutMs, unary.timeoutMs);
    this.connection?.send(encodeFrame(frame));
    return outcome;
  }

  /** Apart, so that what waits does not hold the request. */
  private whenAnswered(streamId: number, timeoutMs: number, afterMs: number): Promise<Outcome> {
    return new Promise((resolve) => {
      const finish = (outcome: Outcome): void => {
        this.pending.delete(streamId);
        clearTimeout(deadline);
        resolve(outcome);
      };
      const expire = (): void => {
        // Timers come before everything else. After a stall of ours the answer may already be here.
        this.connection?.readNow();
        if (this.pending.has(streamId)) finish(E.left({ _tag: 'TimedOut', afterMs }));
      };
      // All that are due fire within one turn, and thousands may be that were asked together.
      const deadline = setTimeout(() => void (systemClock.yieldIfDue()?.then(expire) ?? expire()), timeoutMs);
      this.pending.set(streamId, finish);
    });
  }
}
