/** Publishing events through a daemon, as its own (SPEC 11.5, 16.3). */
import { eventNotPublished, type EventSink } from '@shim-recovery/core/interpreter';
import { pipe } from 'fp-ts/lib/function.js';
import type { IO } from 'fp-ts/lib/IO.js';
import * as O from 'fp-ts/lib/Option.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { openChannel } from '../shims/GrpcChannel.js';
import { envelopeOf, ForwardRequest } from '../protobuf/EventMessages.js';
import { encode } from '../protobuf/Message.js';

const forwardPath = '/containerd.services.events.v1.Events/Forward';

export interface EventForwarder {
  readonly sink: EventSink;
  readonly close: IO<void>;
}

/** Hands each event to the Events service of the daemon behind a socket. */
export const openEventForwarder = ({
  socketPath,
  timeoutMs,
}: {
  readonly socketPath: string;
  readonly timeoutMs: number;
}): EventForwarder => {
  const channel = openChannel(socketPath);
  return {
    sink: {
      publish: (event) =>
        pipe(
          channel.unary({
            path: forwardPath,
            payload: encode(ForwardRequest)({ envelope: O.some(envelopeOf(event)) }),
            namespace: event.namespace,
            timeoutMs,
          }),
          TE.bimap(
            ({ message }) => eventNotPublished(`containerd at ${socketPath}: ${message}`),
            () => undefined,
          ),
        ),
    },
    close: channel.close,
  };
};
