/** A client of the container runtime interface (CRI, `runtime.v1`): it makes pods, reads their state, runs programs in them. */
import { ByteString as B } from '@shim-recovery/core';
import * as E from 'fp-ts/lib/Either.js';
import { openChannel } from '../../src/shims/GrpcChannel.js';
import {
  always,
  bytes,
  decode,
  encode,
  type Field,
  int32,
  int64,
  type Message,
  message,
  shaped,
  text,
  uint32,
} from '../../src/protobuf/Message.js';

/** Values of `NamespaceMode`. Its default shares the pause process's pid namespace, which ends with that process. */
const ofTheContainer = 1;
const ofTheNode = 2;

const callTimeoutMs = 20_000;

interface PodConfig {
  readonly name: string;
  readonly uid: string;
  readonly namespace: string;
  /** The control group of the pod, from the root of each hierarchy. */
  readonly cgroupParent: string;
}

interface ContainerConfig {
  readonly name: string;
  readonly image: string;
  readonly command: ReadonlyArray<string>;
}

export interface Executed {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

export interface Cri {
  /** Whether the daemon has this image. Rejects until the daemon serves CRI. */
  readonly hasImage: (image: string) => Promise<boolean>;
  /** Starts the sandbox of a pod in the host's network, and returns its id. */
  readonly runPodSandbox: (pod: PodConfig) => Promise<string>;
  /** Creates a container without starting it, and returns its id. */
  readonly createContainer: (sandboxId: string, pod: PodConfig, container: ContainerConfig) => Promise<string>;
  readonly startContainer: (id: string) => Promise<void>;
  /** `RUNNING`, for example. */
  readonly containerStatus: (id: string) => Promise<string>;
  /** `READY` or `NOTREADY`. */
  readonly podSandboxStatus: (id: string) => Promise<string>;
  readonly execSync: (id: string, command: ReadonlyArray<string>) => Promise<Executed>;
  readonly stopPodSandbox: (id: string) => Promise<void>;
  readonly removePodSandbox: (id: string) => Promise<void>;
  readonly close: () => void;
}

/** Connects to the daemon at this socket. Calls reject with the daemon's own message. */
export const openCri = (socketPath: string): Cri => {
  const channel = openChannel(socketPath);
  const call =
    <A, R>(service: string, method: string, request: Message<A>, response: Message<R>) =>
    async (value: A): Promise<R> => {
      const path = `/runtime.v1.${service}/${method}`;
      const payload = encode(request)(value);
      const answer = await channel.unary({ path, payload, namespace: B.empty, timeoutMs: callTimeoutMs })();
      if (E.isLeft(answer)) throw new Error(`${method}: ${answer.left.message}`);
      const decoded = decode(response)(answer.right);
      if (E.isLeft(decoded)) throw new Error(`${method}: ${decoded.left.reason}`);
      return decoded.right;
    };
  const runtime = <A, R>(method: string, request: Message<A>, response: Message<R>) =>
    call('RuntimeService', method, request, response);
  const start = runtime('StartContainer', Id, Nothing);
  const stop = runtime('StopPodSandbox', Id, Nothing);
  const remove = runtime('RemovePodSandbox', Id, Nothing);
  const imageStatus = call('ImageService', 'ImageStatus', ImageStatusRequest, ImageStatusResponse);
  const runPod = runtime('RunPodSandbox', RunPodSandboxRequest, Id);
  const create = runtime('CreateContainer', CreateContainerRequest, Id);
  const containerStatus = runtime('ContainerStatus', Id, StatusResponse);
  const podStatus = runtime('PodSandboxStatus', Id, StatusResponse);
  const exec = runtime('ExecSync', ExecSyncRequest, ExecSyncResponse);
  return {
    hasImage: async (image) => (await imageStatus({ image: { image } })).image.id !== '',
    runPodSandbox: async (pod) => (await runPod({ config: pod })).id,
    createContainer: async (sandboxId, pod, container) => (await create({ sandboxId, pod, container })).id,
    startContainer: async (id) => void (await start({ id })),
    containerStatus: async (id) => nameOf(containerStates, (await containerStatus({ id })).status.state),
    podSandboxStatus: async (id) => nameOf(podSandboxStates, (await podStatus({ id })).status.state),
    execSync: async (id, command) => {
      const { stdout, stderr, exitCode } = await exec({ id, command, timeoutSeconds: 10n });
      return { stdout: Buffer.from(stdout).toString(), stderr: Buffer.from(stderr).toString(), exitCode };
    },
    stopPodSandbox: async (id) => void (await stop({ id })),
    removePodSandbox: async (id) => void (await remove({ id })),
    close: channel.close,
  };
};

const containerStates = ['CREATED', 'RUNNING', 'EXITED', 'UNKNOWN'];
const podSandboxStates = ['READY', 'NOTREADY'];
const nameOf = (names: ReadonlyArray<string>, state: number): string => names[state] ?? `state ${state}`;

/** Any number of strings. */
const texts = (number: number): Field<ReadonlyArray<string>> => ({
  ...text(number),
  absent: () => [],
  write: (writer, values) => {
    for (const value of values) text(number).write(writer, value);
  },
  read: (reader, soFar) => [...soFar, text(number).read(reader, '')],
});

const Nothing = message('an empty message', {});

/** Every request or answer of which we need only the id: that is always field 1. */
const Id = message('a message with an id', { id: text(1) });

const ImageSpec = message('ImageSpec', { image: text(1) });

const ImageStatusRequest = message('ImageStatusRequest', { image: always(1, ImageSpec) });

const ImageStatusResponse = message('ImageStatusResponse', { image: always(1, Id) });

/** The state is field 3 of both messages. */
const Status = message('ContainerStatus or PodSandboxStatus', { state: int32(3) });

const StatusResponse = message('ContainerStatusResponse or PodSandboxStatusResponse', { status: always(1, Status) });

const NamespaceOption = message('NamespaceOption', { network: uint32(1), pid: uint32(2) });

/** The namespaces that a kubelet asks for when a pod uses hostNetwork. */
const namespaceOptions = { network: ofTheNode, pid: ofTheContainer };

const PodSandboxConfig: Message<PodConfig> = shaped(
  message('PodSandboxConfig', {
    metadata: always(1, message('PodSandboxMetadata', { name: text(1), uid: text(2), namespace: text(3) })),
    linux: always(
      8,
      message('LinuxPodSandboxConfig', {
        cgroupParent: text(1),
        security: always(2, message('LinuxSandboxSecurityContext', { namespaces: always(1, NamespaceOption) })),
      }),
    ),
  }),
  ({ metadata, linux: { cgroupParent } }): PodConfig => ({ ...metadata, cgroupParent }),
  ({ cgroupParent, ...metadata }) => ({
    metadata,
    linux: { cgroupParent, security: { namespaces: namespaceOptions } },
  }),
);

const RunPodSandboxRequest = message('RunPodSandboxRequest', { config: always(1, PodSandboxConfig) });

const ContainerConfig: Message<ContainerConfig> = shaped(
  message('ContainerConfig', {
    metadata: always(1, message('ContainerMetadata', { name: text(1) })),
    image: always(2, ImageSpec),
    command: texts(3),
    linux: always(
      15,
      message('LinuxContainerConfig', {
        security: always(2, message('LinuxContainerSecurityContext', { namespaces: always(3, NamespaceOption) })),
      }),
    ),
  }),
  ({ metadata, image, command }): ContainerConfig => ({ ...metadata, ...image, command }),
  ({ name, image, command }) => ({
    metadata: { name },
    image: { image },
    command,
    linux: { security: { namespaces: namespaceOptions } },
  }),
);

const CreateContainerRequest = message('CreateContainerRequest', {
  sandboxId: text(1),
  container: always(2, ContainerConfig),
  pod: always(3, PodSandboxConfig),
});

const ExecSyncRequest = message('ExecSyncRequest', { id: text(1), command: texts(2), timeoutSeconds: int64(3) });

const ExecSyncResponse = message('ExecSyncResponse', { stdout: bytes(1), stderr: bytes(2), exitCode: int32(3) });
