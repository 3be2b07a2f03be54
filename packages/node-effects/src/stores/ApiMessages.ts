/** The messages of the daemon's API that a store needs, field by field as far as they are read (SPEC 16.3). */
import { byteText, embedded, message, type MessageOf, repeated } from '../protobuf/Message.js';

const Runtime = message('Runtime', { name: byteText(1) });

export const Container = message('Container', { id: byteText(1), runtime: embedded(4, Runtime) });
export type Container = MessageOf<typeof Container>;

export const ListContainersResponse = message('ListContainersResponse', { containers: repeated(1, Container) });

export const ListContainerMessage = message('ListContainerMessage', { container: embedded(1, Container) });

export const StoreGetRequest = message('StoreGetRequest', { sandboxId: byteText(1) });
