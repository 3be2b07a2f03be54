/** No store at all: no container and no sandbox is known. */
import { type ContainerStore, notFound, type SandboxStore } from '@shim-recovery/core/interpreter';

export const noStore: ContainerStore & SandboxStore = {
  container: () => async () => notFound,
  sandbox: () => async () => notFound,
};
