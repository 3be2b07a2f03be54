/** Dials shims over ttrpc or gRPC, whichever the bundle's address asks for (SPEC 9). */
import { semaphore, type ShimConnector } from '@shim-recovery/core/interpreter';
import { makeRoomForDescriptors } from '../native/Native.js';
import type * as TtrpcShim from './TtrpcShim.js';

/**
 * How many dials over ttrpc are under way at once. Far more would only fill the backlogs of shared shims. A unix socket
 * connects or fails at once, so that nobody waits long; a dial's own time-out starts when its turn comes.
 */
const maxDials = 64;

/** A host with so many shims may have many more, each with a connection and a log. */
const manyDials = 16;

/** A connector with its own bound. Both protocols are loaded when first needed: most runs need one, or none. */
export const makeShimConnector = (): ShimConnector => {
  const inTurn = semaphore(maxDials);
  let dials = 0;
  // Kept, as importing what is loaded already takes a while still, too.
  let ttrpc: Promise<typeof TtrpcShim> | undefined;
  return {
    dial: (dialling) => {
      if (++dials === manyDials) void makeRoomForDescriptors();
      switch (dialling.target.protocol) {
        case 'ttrpc':
          return inTurn(async () => {
            ttrpc ??= import('./TtrpcShim.js');
            const { dialTtrpc } = await ttrpc;
            return dialTtrpc(dialling)();
          });
        case 'grpc':
          // Not in turn: a gRPC dial waits for the server, and silent ones must not hold up the others.
          return async () => {
            const { dialGrpc } = await import('./GrpcShim.js');
            return dialGrpc(dialling)();
          };
      }
    },
  };
};
