/** A throw-away containerd of Debian's, with containers from an image made by hand, and all of it taken away again. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Every wait of these tests ends by then, in milliseconds. */
export const patienceMs = 30_000;

const programs = ['containerd', 'containerd-shim-runc-v2', 'ctr', 'runc', 'busybox'];

const onPath = (program: string): boolean =>
  (process.env['PATH'] ?? '').split(':').some((directory) => {
    try {
      fs.accessSync(path.join(directory, program), fs.constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

/** Why these tests cannot run here, or undefined where they can. */
export const missing = (): string | undefined => {
  if (process.getuid?.() !== 0) return 'needs root, for mounts and containers';
  const absent = programs.filter((program) => !onPath(program));
  return absent.length === 0 ? undefined : `needs ${absent.join(', ')} (Debian: containerd runc busybox-static)`;
};

/** Waits until a condition holds, looking again whenever `every` milliseconds went by; fails loudly when it never does. */
export const until = async <A>(what: string, look: () => A | undefined | Promise<A | undefined>): Promise<A> => {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    if (Date.now() > deadline) throw new Error(`waited in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

export const ifTrue = (holds: boolean): true | undefined => (holds ? true : undefined);

export const isAlive = (pid: number): boolean => {
  try {
    // A zombie is dead, but still answers to signal 0.
    return !/^\d+ \(.*\) [ZX]/s.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
};

export const kill = async (pid: number): Promise<void> => {
  if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  await until(`process ${pid} to end`, () => ifTrue(!isAlive(pid)));
};

export const mountsBelow = (directory: string): ReadonlyArray<string> =>
  fs
    .readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((mountPoint) => mountPoint.startsWith(`${directory}/`));

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** An OCI image with one layer, busybox, as an archive that `ctr images import` takes; it sleeps unless told otherwise. */
export const makeImage = async (base: string, name: string): Promise<string> => {
  const rootfs = path.join(base, 'image-rootfs');
  const layout = path.join(base, 'image-layout');
  fs.mkdirSync(path.join(rootfs, 'bin'), { recursive: true });
  fs.mkdirSync(path.join(layout, 'blobs/sha256'), { recursive: true });
  const { stdout: busybox } = await run('sh', ['-c', 'command -v busybox']);
  fs.copyFileSync(busybox.trim(), path.join(rootfs, 'bin/busybox'));
  fs.chmodSync(path.join(rootfs, 'bin/busybox'), 0o755);
  for (const applet of ['sh', 'sleep']) fs.symlinkSync('busybox', path.join(rootfs, 'bin', applet));
  await run('tar', ['-C', rootfs, '-cf', path.join(base, 'layer.tar'), '.']);
  const put = (bytes: Uint8Array, mediaType: string): object => {
    const digest = sha256(bytes);
    fs.writeFileSync(path.join(layout, 'blobs/sha256', digest), bytes);
    return { mediaType, digest: `sha256:${digest}`, size: bytes.length };
  };
  const json = (value: object): Uint8Array => Buffer.from(JSON.stringify(value));
  const layer = fs.readFileSync(path.join(base, 'layer.tar'));
  const platform = { architecture: process.arch === 'arm64' ? 'arm64' : 'amd64', os: 'linux' };
  const config = put(
    json({
      ...platform,
      config: { Cmd: ['/bin/sleep', '100000'] },
      rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] },
    }),
    'application/vnd.oci.image.config.v1+json',
  );
  const manifest = put(
    json({ schemaVersion: 2, config, layers: [put(layer, 'application/vnd.oci.image.layer.v1.tar')] }),
    'application/vnd.oci.image.manifest.v1+json',
  );
  fs.writeFileSync(path.join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  fs.writeFileSync(
    path.join(layout, 'index.json'),
    json({
      schemaVersion: 2,
      manifests: [{ ...manifest, platform, annotations: { 'io.containerd.image.name': name } }],
    }),
  );
  const archive = path.join(base, 'image.tar');
  await run('tar', ['-C', layout, '-cf', archive, 'oci-layout', 'index.json', 'blobs']);
  return archive;
};

/** One running container. */
export interface Container {
  readonly id: string;
  /** The container's first process, and its shim's. */
  readonly taskPid: number;
  readonly shimPid: number;
  readonly bundle: string;
  readonly workDirectory: string;
}

export interface Host {
  readonly base: string;
  readonly namespace: string;
  readonly state: string;
  readonly root: string;
  readonly socket: string;
  readonly start: () => Promise<void>;
  /** SIGKILL, as a crash would. */
  readonly killDaemon: () => Promise<void>;
  readonly ctr: (...args: ReadonlyArray<string>) => Promise<string>;
  /** With further options of `ctr run`. */
  readonly runContainer: (id: string, ...options: ReadonlyArray<string>) => Promise<Container>;
  /** What runc knows, id by id: its status. */
  readonly runcState: () => Promise<ReadonlyMap<string, string>>;
  readonly cleanUp: () => Promise<void>;
}

export const answers = (socket: string): Promise<boolean> =>
  new Promise((resolve) => {
    const connection = net.connect(socket);
    connection.once('connect', () => {
      connection.destroy();
      resolve(true);
    });
    connection.once('error', () => resolve(false));
  });

/** The process that serves a unix socket: the shim, wherever it forked to. */
const shimPidOf = async (bundle: string): Promise<number> => {
  const id = path.basename(bundle);
  for (const entry of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const args = fs.readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0');
      const cwd = fs.readlinkSync(`/proc/${entry}/cwd`);
      if (args[0]?.endsWith('containerd-shim-runc-v2') === true && args.includes(id) && cwd === bundle)
        return Number(entry);
    } catch {
      // It ended while we looked.
    }
  }
  throw new Error(`no shim found for ${bundle}`);
};

const plugin = 'io.containerd.runtime.v2.task';

/** Lays out directories of its own; the namespace's name is of its own, too, since shims keep sockets and runc its state elsewhere. */
export const makeHost = async (): Promise<Host> => {
  const base = fs.mkdtempSync(path.join(os.tmpdir(), 'shim-recovery-e2e-'));
  const namespace = `e2e-${randomBytes(4).toString('hex')}`;
  const image = 'local/busybox:e2e';
  const socket = path.join(base, 'containerd.sock');
  const config = path.join(base, 'config.toml');
  const state = path.join(base, 'state', plugin);
  const root = path.join(base, 'root', plugin);
  fs.writeFileSync(
    config,
    [
      'version = 2',
      `root = "${base}/root"`,
      `state = "${base}/state"`,
      'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]',
      `[grpc]\n  address = "${socket}"`,
      '',
    ].join('\n'),
  );
  const started: Array<Container> = [];
  const sockets = new Set<string>();
  let daemon: ChildProcess | undefined;

  const ctr = async (...args: ReadonlyArray<string>): Promise<string> =>
    (await run('ctr', ['--address', socket, '--namespace', namespace, ...args], { timeout: patienceMs })).stdout;

  const killDaemon = async (): Promise<void> => {
    if (daemon?.pid === undefined) return;
    const { pid } = daemon;
    daemon.kill('SIGKILL');
    await until('containerd to end', () => ifTrue(!isAlive(pid)));
    daemon = undefined;
  };

  const start = async (): Promise<void> => {
    const log = fs.openSync(path.join(base, 'containerd.log'), 'a');
    daemon = spawn('containerd', ['--config', config, '--log-level', 'debug'], { stdio: ['ignore', log, log] });
    fs.closeSync(log);
    await until('containerd to answer', async () => ifTrue(await answers(socket)));
    await until('containerd to serve', () =>
      ctr('version').then(
        () => true as const,
        () => undefined,
      ),
    );
  };

  const runcRoot = path.join('/run/containerd/runc', namespace);

  return {
    base,
    namespace,
    state,
    root,
    socket,
    ctr,
    killDaemon,
    start: async () => {
      await start();
      if (!fs.existsSync(path.join(base, 'image.tar'))) await ctr('images', 'import', await makeImage(base, image));
    },
    runContainer: async (id, ...options) => {
      await ctr('run', '--detach', '--snapshotter', 'overlayfs', ...options, image, id, '/bin/sleep', '100000');
      const bundle = path.join(state, namespace, id);
      const container: Container = {
        id,
        taskPid: Number(fs.readFileSync(path.join(bundle, 'init.pid'), 'utf8')),
        shimPid: await shimPidOf(bundle),
        bundle,
        workDirectory: path.join(root, namespace, id),
      };
      sockets.add(fs.readFileSync(path.join(bundle, 'address'), 'utf8').replace('unix://', ''));
      started.push(container);
      return container;
    },
    runcState: async () => {
      const { stdout } = await run('runc', ['--root', runcRoot, 'list', '--format', 'json']).catch(() => ({
        stdout: 'null',
      }));
      const list = (JSON.parse(stdout) ?? []) as ReadonlyArray<{ id: string; status: string }>;
      return new Map(list.map((container) => [container.id, container.status]));
    },
    cleanUp: async () => {
      await killDaemon();
      for (const { id, shimPid, taskPid } of started) {
        await kill(shimPid);
        await kill(taskPid);
        await run('runc', ['--root', runcRoot, 'delete', '--force', id]).catch(() => undefined);
      }
      for (const mountPoint of [...mountsBelow(base)].sort((first, second) => second.length - first.length))
        await run('umount', [mountPoint]).catch(() => undefined);
      for (const file of sockets) fs.rmSync(file, { force: true });
      fs.rmSync(runcRoot, { recursive: true, force: true });
      fs.rmSync(base, { recursive: true, force: true });
    },
  };
};
