/**
 * A throw-away containerd that runs pods over CRI as it would for a kubelet, and the removal of all that it made.
 *
 * CRI keeps every pod in the namespace `k8s.io`. Shims listen below `/run/containerd/s`, and runc keeps its state below
 * `/run/containerd/runc`, for each containerd of this machine. So a host knows its own things by its directory, its socket,
 * its control group and its ids.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { expect, type TestContext } from 'vitest';
import { answers, ifTrue, makeImage, missing, mountsBelow, patienceMs, until } from './containerd.js';
import { type Cri, type Executed, openCri } from './cri.js';
import {
  type CommandLine,
  commandLines,
  contents,
  endNow,
  isRunning,
  type Process,
  pidsIn,
  processOf,
  removeCgroup,
  removeIfEmpty,
} from './processes.js';

const run = promisify(execFile);

const namespace = 'k8s.io';
const plugin = 'io.containerd.runtime.v2.task';
const image = 'docker.io/local/busybox:e2e';
const shimSockets = '/run/containerd/s';
const runcRoot = path.join('/run/containerd/runc', namespace);

export interface PodContainer {
  /** As in the request; the sandbox is called `pause`. */
  readonly name: string;
  readonly id: string;
  /** The container's first process. */
  readonly process: Process;
  readonly bundle: string;
  readonly workDirectory: string;
}

export interface Pod {
  readonly name: string;
  readonly sandbox: PodContainer;
  readonly containers: ReadonlyArray<PodContainer>;
  /** The sandbox, then the containers. */
  readonly all: ReadonlyArray<PodContainer>;
  /** The one shim that serves all of them. */
  readonly shim: Process;
  /** The path at which it listens. */
  readonly shimSocket: string;
}

interface PodRequest {
  readonly name: string;
  readonly containers: ReadonlyArray<{
    readonly name: string;
    /** It sleeps by default. */
    readonly command?: ReadonlyArray<string>;
  }>;
}

export interface PodHost {
  readonly base: string;
  readonly namespace: string;
  readonly state: string;
  readonly root: string;
  readonly socket: string;
  /** Returns once the daemon serves CRI and has the image. */
  readonly startDaemon: () => Promise<void>;
  /** Kills the daemon with SIGKILL. The shims and their containers live on. */
  readonly killDaemon: () => Promise<void>;
  readonly runPod: (request: PodRequest) => Promise<Pod>;
  /** The container's state according to the daemon: `RUNNING`, for example. */
  readonly status: (containerId: string) => Promise<string>;
  /** The sandbox's state according to the daemon: `READY` or `NOTREADY`. */
  readonly sandboxStatus: (sandboxId: string) => Promise<string>;
  readonly exec: (containerId: string, command: ReadonlyArray<string>) => Promise<Executed>;
  /** Lets the daemon stop and remove a pod with all its containers. */
  readonly removePod: (pod: Pod) => Promise<void>;
  /** Ends, unmounts and removes all that this host made, whether or not the daemon knows it. Rejects if it could not. */
  readonly cleanUp: () => Promise<void>;
}

/**
 * The body of a test on a host of its own, whose daemon runs. Without root or a program it needs, vitest skips it with that
 * reason, or it fails if `SHIM_RECOVERY_REQUIRE_E2E` is set.
 */
export const withPods =
  (body: (host: PodHost) => Promise<void>) =>
  async (context: TestContext): Promise<void> => {
    const because = missing();
    if (because !== undefined) {
      if (process.env['SHIM_RECOVERY_REQUIRE_E2E'] === '1') throw new Error(because);
      return context.skip(because);
    }
    const host = makePodHost();
    // Unlike `finally`, vitest also calls this when the test's time is up.
    context.onTestFinished(host.cleanUp, patienceMs);
    await host.startDaemon();
    await body(host);
  };

/** Whether a container's process runs, its two directories exist, and its root file system is mounted. */
export const isIntact = (container: PodContainer): boolean =>
  isRunning(container.process) &&
  isMounted(container) &&
  fs.existsSync(container.bundle) &&
  fs.existsSync(container.workDirectory);

const isMounted = ({ bundle }: PodContainer): boolean => mountsBelow(bundle).includes(path.join(bundle, 'rootfs'));

const makePodHost = (): PodHost => {
  const base = fs.mkdtempSync(path.join(os.tmpdir(), 'shim-recovery-pods-'));
  const place: Place = {
    base,
    socket: path.join(base, 'containerd.sock'),
    state: path.join(base, 'state', plugin),
    root: path.join(base, 'root', plugin),
    cgroup: `kubepods-e2e-${randomBytes(4).toString('hex')}`,
    ids: new Set(),
    hadRuncRoot: fs.existsSync(runcRoot),
  };
  const daemon = makeDaemon(place);
  return {
    base,
    namespace,
    state: place.state,
    root: place.root,
    socket: place.socket,
    startDaemon: daemon.start,
    killDaemon: daemon.kill,
    runPod: (request) => runPod(place, daemon.cri(), request),
    status: (id) => daemon.cri().containerStatus(id),
    sandboxStatus: (id) => daemon.cri().podSandboxStatus(id),
    exec: (id, command) => daemon.cri().execSync(id, command),
    removePod: async ({ sandbox: { id } }) => {
      await daemon.cri().stopPodSandbox(id);
      await daemon.cri().removePodSandbox(id);
    },
    cleanUp: () => cleanUp(place, daemon),
  };
};

/** Where a host has its things. */
interface Place extends Pick<PodHost, 'base' | 'socket' | 'state' | 'root'> {
  /** The control group of all its pods. */
  readonly cgroup: string;
  /** The sandboxes and containers that it made. */
  readonly ids: Set<string>;
  /** Whether another containerd of this machine had pods before. */
  readonly hadRuncRoot: boolean;
}

interface Daemon {
  readonly start: () => Promise<void>;
  readonly kill: () => Promise<void>;
  /** Kills it, and lets it never start again: the body of a test that took too long goes on after the test. */
  readonly retire: () => Promise<void>;
  readonly cri: () => Cri;
}

const makeDaemon = ({ base, socket }: Place): Daemon => {
  const config = path.join(base, 'config.toml');
  const logFile = path.join(base, 'containerd.log');
  let running: { readonly child: ChildProcess; readonly cri: Cri } | undefined;
  let isRetired = false;
  fs.writeFileSync(config, configuration(base, socket));

  const kill = async (): Promise<void> => {
    if (running === undefined) return;
    const { child, cri } = running;
    running = undefined;
    cri.close();
    child.kill('SIGKILL');
    await until('containerd to end', () => ifTrue(child.exitCode !== null || child.signalCode !== null));
  };

  return {
    start: async () => {
      if (isRetired || running !== undefined) throw new Error('the daemon cannot be started now');
      const log = fs.openSync(logFile, 'a');
      const child = spawn('containerd', ['--config', config, '--log-level', 'info'], { stdio: ['ignore', log, log] });
      fs.closeSync(log);
      // A channel that is refused at first waits for a second before it tries again.
      await until('containerd to listen', async () => {
        if (child.exitCode !== null) throw new Error(`containerd ended: ${contents(logFile)}`);
        return ifTrue(await answers(socket));
      });
      const cri = openCri(socket);
      running = { child, cri };
      const hasImage = await until('containerd to serve pods', () => cri.hasImage(image).catch(() => undefined));
      if (hasImage) return;
      const archive = await makeImage(base, image);
      await run('ctr', ['--address', socket, '--namespace', namespace, 'images', 'import', archive]);
      await until('containerd to see the image', async () => ifTrue(await cri.hasImage(image)));
    },
    kill,
    retire: () => {
      isRetired = true;
      return kill();
    },
    cri: () => running?.cri ?? expect.fail('the daemon does not run'),
  };
};

/** Pods in the host's network need no network plugin. AppArmor and lower OOM scores are off: a machine may lack them. */
const configuration = (base: string, socket: string): string =>
  [
    'version = 2',
    `root = "${base}/root"`,
    `state = "${base}/state"`,
    'disabled_plugins = ["io.containerd.internal.v1.opt"]',
    `[grpc]\n  address = "${socket}"`,
    '[plugins."io.containerd.grpc.v1.cri"]',
    `  sandbox_image = "${image}"`,
    '  disable_apparmor = true',
    '  restrict_oom_score_adj = true',
    '[plugins."io.containerd.grpc.v1.cri".cni]',
    `  bin_dir = "${base}/cni/bin"`,
    `  conf_dir = "${base}/cni/conf"`,
    '',
  ].join('\n');

const runPod = async (place: Place, cri: Cri, { name, containers }: PodRequest): Promise<Pod> => {
  const uid = randomUUID();
  const config = { name, uid, namespace: 'default', cgroupParent: `/${place.cgroup}/besteffort/pod${uid}` };
  const sandboxId = await cri.runPodSandbox(config);
  place.ids.add(sandboxId);
  const made: Array<PodContainer> = [];
  for (const { name: containerName, command = ['/bin/sleep', '100000'] } of containers) {
    const id = await cri.createContainer(sandboxId, config, { name: containerName, image, command });
    place.ids.add(id);
    await cri.startContainer(id);
    made.push(containerAt(place, containerName, id));
  }
  const sandbox = containerAt(place, 'pause', sandboxId);
  const [shim, ...others] = shimsOf(place).filter(({ args }) => args.includes(sandboxId));
  if (shim === undefined || others.length > 0) throw new Error(`expected one shim of pod ${name}`);
  return {
    name,
    sandbox,
    containers: made,
    all: [sandbox, ...made],
    shim: processOf(shim.pid),
    shimSocket: shimSocketOf(place, sandboxId),
  };
};

const containerAt = ({ state, root }: Place, name: string, id: string): PodContainer => {
  const bundle = path.join(state, namespace, id);
  const pid = Number(fs.readFileSync(path.join(bundle, 'init.pid'), 'utf8'));
  return { name, id, process: processOf(pid), bundle, workDirectory: path.join(root, namespace, id) };
};

/** Containerd derives the name from its own address, the namespace and the id. */
const shimSocketOf = ({ socket }: Place, sandboxId: string): string =>
  path.join(
    shimSockets,
    createHash('sha256')
      .update(path.join(socket, namespace, sandboxId))
      .digest('hex'),
  );

const shimsOf = ({ socket }: Place): ReadonlyArray<CommandLine> =>
  commandLines().filter(
    ({ args }) =>
      args[0]?.endsWith('containerd-shim-runc-v2') === true && args[args.indexOf('-address') + 1] === socket,
  );

/** Does each part even if one before it failed, and rejects with all failures. */
const cleanUp = async (place: Place, daemon: Daemon): Promise<void> => {
  const { base } = place;
  const failures: Array<unknown> = [];
  const parts = [daemon.retire, () => endProcesses(place), () => removeTraces(place), () => unmountBelow(base)];
  for (const part of parts) await part().catch((cause: unknown) => failures.push(cause));
  // With a mount below it, this would empty the mounted file system.
  if (mountsBelow(base).length === 0) fs.rmSync(base, { recursive: true, force: true });
  else failures.push(new Error(`still mounted: ${mountsBelow(base).join(' ')}`));
  if (failures.length > 0) throw new AggregateError(failures, `${base} was not cleaned up`);
};

const endProcesses = async (place: Place): Promise<void> => {
  for (const { args } of shimsOf(place)) place.ids.add(args[args.indexOf('-id') + 1] ?? '');
  await until('all processes to end', () => {
    const pids = [...pidsOfPrograms(place.base), ...pidsIn(place.cgroup)];
    for (const pid of pids) endNow(pid);
    return ifTrue(pids.length === 0);
  });
};

/** The daemon, its shims and tools, and the command under test, if an argument is a path below this directory. */
const pidsOfPrograms = (base: string): ReadonlyArray<number> => {
  const programs = ['containerd', 'containerd-shim-runc-v2', 'ctr', 'runc', path.basename(process.execPath)];
  return commandLines()
    .filter(({ args }) => programs.includes(path.basename(args[0] ?? '')))
    .filter(({ args }) => args.some((arg) => arg.startsWith(`${base}/`)))
    .map(({ pid }) => pid);
};

/** Removes what shims and runc keep outside of the host's own directory. */
const removeTraces = async (place: Place): Promise<void> => {
  const { state, root, ids, cgroup, hadRuncRoot } = place;
  for (const parent of [state, root]) for (const id of entriesOf(path.join(parent, namespace))) ids.add(id);
  for (const id of ids) {
    fs.rmSync(shimSocketOf(place, id), { force: true });
    if (id !== '') fs.rmSync(path.join(runcRoot, id), { recursive: true, force: true });
  }
  if (!hadRuncRoot) removeIfEmpty(runcRoot);
  await removeCgroup(cgroup);
};

const entriesOf = (directory: string): ReadonlyArray<string> =>
  fs.existsSync(directory) ? fs.readdirSync(directory) : [];

/** The last mounted first. A mount that is still in use goes when its user does. */
const unmountBelow = async (base: string): Promise<void> => {
  for (const mountPoint of mountsBelow(base).toReversed())
    await run('umount', [mountPoint]).catch(() => run('umount', ['--lazy', mountPoint]));
};
