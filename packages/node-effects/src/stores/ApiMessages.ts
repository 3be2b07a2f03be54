/** The messages of the daemon's API that a store needs, field by field as far as they are read (SPEC 16.3). */
import { ByteString as B } from '@shim-recovery/core';
import * as O from 'fp-ts/lib/Option.js';
import { byteText, embedded, type Message, repeated } from '../protobuf/Message.js';

export interface Runtime {
  readonly name: B.ByteString;
}

export const Runtime: Message<Runtime> = {
  name: 'Runtime',
  empty: () => ({ name: B.empty }),
  fields: [
    byteText(
      1,
      (runtime) => runtime.name,
      (runtime, name) => ({ ...runtime, name }),
    ),
  ],
};

export interface Container {
  readonly id: B.ByteString;
  readonly runtime: O.Option<Runtime>;
}

export const Container: Message<Container> = {
  name: 'Container',
  empty: () => ({ id: B.empty, runtime: O.none }),
  fields: [
    byteText(
      1,
      (container) => container.id,
      (container, id) => ({ ...container, id }),
    ),
    embedded(
      4,
      Runtime,
      (container) => container.runtime,
      (container, runtime) => ({ ...container, runtime: O.some(runtime) }),
    ),
  ],
};

export interface ListContainersResponse {
  readonly containers: Array<Container>;
}

export const ListContainersResponse: Message<ListContainersResponse> = {
  name: 'ListContainersResponse',
  empty: () => ({ containers: [] }),
  fields: [
    repeated(
      1,
      Container,
      (response) => response.containers,
      (response, container) => {
        response.containers.push(container);
        return response;
      },
    ),
  ],
};

export interface ContainerMessage {
  readonly container: O.Option<Container>;
}

export const ListContainerMessage: Message<ContainerMessage> = {
  name: 'ListContainerMessage',
  empty: () => ({ container: O.none }),
  fields: [
    embedded(
      1,
      Container,
      (message) => message.container,
      (message, container) => ({ ...message, container: O.some(container) }),
    ),
  ],
};

export interface StoreGetRequest {
  readonly sandboxId: B.ByteString;
}

export const StoreGetRequest: Message<StoreGetRequest> = {
  name: 'StoreGetRequest',
  empty: () => ({ sandboxId: B.empty }),
  fields: [
    byteText(
      1,
      (request) => request.sandboxId,
      (request, sandboxId) => ({ ...request, sandboxId }),
    ),
  ],
};
