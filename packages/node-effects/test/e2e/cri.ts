/** A client of the container runtime interface (CRI, `runtime.v1`): it makes pods, reads their state, runs programs in them. */
import { ByteString as B } from '@shim-recovery/core';
import * as E from 'fp-ts/lib/Either.js';
import * as O from 'fp-ts/lib/Option.js';
import { openChannel } from '../../src/shims/GrpcChannel.js';
import {
  bytes,
  decode,
  embedded,
  encode,
  type Field,
  int32,
  int64,
  type Message,
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
    hasImage: async (image) => (await imageStatus({ image })).image.id !== '',
    runPodSandbox: async (pod) => (await runPod(pod)).id,
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

/** An embedded message that is always sent, so that its value needs no option. */
const part = <A, V>(number: number, message: Message<V>, get: (a: A) => V, set: (a: A, value: V) => A): Field<A> =>
  embedded(number, message, (a) => O.some(get(a)), set);

/** An embedded message whose fields belong to the outer record: the wire nests what one flat record holds. */
const group = <A>(number: number, { name, empty }: Omit<Message<A>, 'fields'>, fields: ReadonlyArray<Field<A>>) =>
  part<A, A>(
    number,
    { name, empty, fields },
    (a) => a,
    (_, a) => a,
  );

/** Any number of strings. */
const texts = <A>(
  number: number,
  get: (a: A) => ReadonlyArray<string>,
  set: (a: A, value: ReadonlyArray<string>) => A,
): Field<A> => {
  const one = (value: string): Field<A> =>
    text(
      number,
      () => value,
      (a, added) => set(a, [...get(a), added]),
    );
  return {
    ...one(''),
    write: (writer, a) => {
      for (const value of get(a)) one(value).write(writer, a);
    },
  };
};

const Nothing: Message<null> = { name: 'an empty message', empty: () => null, fields: [] };

/** Every request or answer of which we need only the id: that is always field 1. */
const Id: Message<{ readonly id: string }> = {
  name: 'a message with an id',
  empty: () => ({ id: '' }),
  fields: [
    text(
      1,
      ({ id }) => id,
      (_, id) => ({ id }),
    ),
  ],
};

const ImageSpec: Message<{ readonly image: string }> = {
  name: 'ImageSpec',
  empty: () => ({ image: '' }),
  fields: [
    text(
      1,
      ({ image }) => image,
      (_, image) => ({ image }),
    ),
  ],
};

const ImageStatusRequest: Message<{ readonly image: string }> = {
  name: 'ImageStatusRequest',
  empty: ImageSpec.empty,
  fields: [group(1, ImageSpec, ImageSpec.fields)],
};

const ImageStatusResponse: Message<{ readonly image: { readonly id: string } }> = {
  name: 'ImageStatusResponse',
  empty: () => ({ image: Id.empty() }),
  fields: [
    part(
      1,
      Id,
      ({ image }) => image,
      (_, image) => ({ image }),
    ),
  ],
};

/** The state is field 3 of both messages. */
const Status: Message<{ readonly state: number }> = {
  name: 'ContainerStatus or PodSandboxStatus',
  empty: () => ({ state: 0 }),
  fields: [
    int32(
      3,
      ({ state }) => state,
      (_, state) => ({ state }),
    ),
  ],
};

const StatusResponse: Message<{ readonly status: { readonly state: number } }> = {
  name: 'ContainerStatusResponse or PodSandboxStatusResponse',
  empty: () => ({ status: Status.empty() }),
  fields: [
    part(
      1,
      Status,
      ({ status }) => status,
      (_, status) => ({ status }),
    ),
  ],
};

/** The namespaces that a kubelet asks for when a pod uses hostNetwork. */
const namespaceOptions = <A>(number: number, empty: () => A): Field<A> => {
  const mode = (modeNumber: number, value: number): Field<A> =>
    uint32(
      modeNumber,
      () => value,
      (a) => a,
    );
  return group(number, { name: 'NamespaceOption', empty }, [mode(1, ofTheNode), mode(2, ofTheContainer)]);
};

const noPod = (): PodConfig => ({ name: '', uid: '', namespace: '', cgroupParent: '' });

const PodSandboxConfig: Message<PodConfig> = {
  name: 'PodSandboxConfig',
  empty: noPod,
  fields: [
    group(1, { name: 'PodSandboxMetadata', empty: noPod }, [
      text(
        1,
        (pod) => pod.name,
        (pod, name) => ({ ...pod, name }),
      ),
      text(
        2,
        (pod) => pod.uid,
        (pod, uid) => ({ ...pod, uid }),
      ),
      text(
        3,
        (pod) => pod.namespace,
        (pod, namespace) => ({ ...pod, namespace }),
      ),
    ]),
    group(8, { name: 'LinuxPodSandboxConfig', empty: noPod }, [
      text(
        1,
        (pod) => pod.cgroupParent,
        (pod, cgroupParent) => ({ ...pod, cgroupParent }),
      ),
      group(2, { name: 'LinuxSandboxSecurityContext', empty: noPod }, [namespaceOptions(1, noPod)]),
    ]),
  ],
};

const RunPodSandboxRequest: Message<PodConfig> = {
  name: 'RunPodSandboxRequest',
  empty: noPod,
  fields: [group(1, PodSandboxConfig, PodSandboxConfig.fields)],
};

const noContainer = (): ContainerConfig => ({ name: '', image: '', command: [] });

const ContainerConfig: Message<ContainerConfig> = {
  name: 'ContainerConfig',
  empty: noContainer,
  fields: [
    group(1, { name: 'ContainerMetadata', empty: noContainer }, [
      text(
        1,
        (container) => container.name,
        (container, name) => ({ ...container, name }),
      ),
    ]),
    part(
      2,
      ImageSpec,
      ({ image }) => ({ image }),
      (container, { image }) => ({ ...container, image }),
    ),
    texts(
      3,
      (container) => container.command,
      (container, command) => ({ ...container, command }),
    ),
    group(15, { name: 'LinuxContainerConfig', empty: noContainer }, [
      group(2, { name: 'LinuxContainerSecurityContext', empty: noContainer }, [namespaceOptions(3, noContainer)]),
    ]),
  ],
};

interface CreateContainerRequest {
  readonly sandboxId: string;
  readonly container: ContainerConfig;
  readonly pod: PodConfig;
}
const CreateContainerRequest: Message<CreateContainerRequest> = {
  name: 'CreateContainerRequest',
  empty: () => ({ sandboxId: '', container: noContainer(), pod: noPod() }),
  fields: [
    text(
      1,
      (request) => request.sandboxId,
      (request, sandboxId) => ({ ...request, sandboxId }),
    ),
    part(
      2,
      ContainerConfig,
      (request) => request.container,
      (request, container) => ({ ...request, container }),
    ),
    part(
      3,
      PodSandboxConfig,
      (request) => request.pod,
      (request, pod) => ({ ...request, pod }),
    ),
  ],
};

interface ExecSyncRequest {
  readonly id: string;
  readonly command: ReadonlyArray<string>;
  readonly timeoutSeconds: bigint;
}
const ExecSyncRequest: Message<ExecSyncRequest> = {
  name: 'ExecSyncRequest',
  empty: () => ({ id: '', command: [], timeoutSeconds: 0n }),
  fields: [
    text(
      1,
      (request) => request.id,
      (request, id) => ({ ...request, id }),
    ),
    texts(
      2,
      (request) => request.command,
      (request, command) => ({ ...request, command }),
    ),
    int64(
      3,
      (request) => request.timeoutSeconds,
      (request, timeoutSeconds) => ({ ...request, timeoutSeconds }),
    ),
  ],
};

interface ExecSyncResponse {
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  readonly exitCode: number;
}
const ExecSyncResponse: Message<ExecSyncResponse> = {
  name: 'ExecSyncResponse',
  empty: () => ({ stdout: new Uint8Array(), stderr: new Uint8Array(), exitCode: 0 }),
  fields: [
    bytes(
      1,
      (response) => response.stdout,
      (response, stdout) => ({ ...response, stdout }),
    ),
    bytes(
      2,
      (response) => response.stderr,
      (response, stderr) => ({ ...response, stderr }),
    ),
    int32(
      3,
      (response) => response.exitCode,
      (response, exitCode) => ({ ...response, exitCode }),
    ),
  ],
};
