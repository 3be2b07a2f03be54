/** A small host in a temporary directory, and the command as a child process on it. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Report } from '@shim-recovery/core/documents';
import { type ScriptedShim, type ShimScript, startScriptedShim } from '../../src/demo/ScriptedShim.js';
import { right } from '../temporary.js';

/** What `tsc -b` makes: the command as it is installed. */
const program = fileURLToPath(new URL('../../dist/command/main.cjs', import.meta.url));

/** So long a run may take; none of these comes near it. */
const patienceMs = 20_000;

export interface Run {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** As whom; only root may choose. */
  readonly uid?: number;
}

export interface Running {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Completes with the end of the process and of its output. */
  readonly ended: Promise<Run>;
}

/** The environment of the tests, less what would change the output. */
const environment = (): NodeJS.ProcessEnv => {
  const { NO_COLOR: _, FORCE_COLOR: __, NODE_OPTIONS: ___, ...rest } = process.env;
  return rest;
};

const follow = (child: ChildProcess): Running => {
  const output = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (output.stdout += chunk));
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (output.stderr += chunk));
  const ended = new Promise<Run>((resolve, reject) => {
    const deadline = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`it did not end; so far: ${JSON.stringify(output)}`));
    }, patienceMs);
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(deadline);
      resolve({ code, signal, ...output });
    });
  });
  return { child, stdout: () => output.stdout, stderr: () => output.stderr, ended };
};

/** Starts `shim-recovery` with these arguments. */
export const start = (args: ReadonlyArray<string>, { cwd, env, uid }: RunOptions = {}): Running => {
  if (!fs.existsSync(program)) throw new Error('the command is not built: run `tsc -b packages/node-effects` first');
  return follow(
    spawn(process.execPath, [program, ...args], {
      cwd: cwd ?? os.tmpdir(),
      env: { ...environment(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(uid === undefined ? {} : { uid, gid: uid }),
    }),
  );
};

/** Runs `shim-recovery` to its end. */
export const run = (args: ReadonlyArray<string>, options?: RunOptions): Promise<Run> => start(args, options).ended;

/** Runs a line of shell in which `"$@"` is the command with these arguments. */
export const runInShell = (line: string, args: ReadonlyArray<string>): Promise<Run> =>
  follow(
    spawn('sh', ['-c', line, 'sh', process.execPath, program, ...args], {
      env: environment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  ).ended;

/** The report that a run with `--json` printed. */
export const reportOf = ({ stdout, stderr }: Run): Report => {
  if (!stdout.endsWith('}\n')) throw new Error(`no report: ${JSON.stringify({ stdout, stderr })}`);
  return right(Report.decode(JSON.parse(stdout.trimEnd().split('\n')[0] ?? '')));
};

/** A shim whose task lives. */
export const running: ShimScript = {
  mode: 'serve',
  connect: { ok: { task: 900 } },
  pids: { ok: { pids: [900] } },
  del: { ok: { pid: 900 } },
  shutdown: { ok: {}, exit: true },
};

/** A shim that is gone. */
export const dead: ShimScript = { ...running, mode: 'refuse' };

/** Answers like a real one: pid 900, exit status 137. */
export const goodBinary = "printf '\\010\\204\\007\\020\\211\\001'";

interface Bundle {
  /** What the bundle's own files hold; by default nothing but `config.json`. */
  readonly files?: Readonly<Record<string, string>>;
  readonly shim?: ShimScript;
}

export interface Host {
  readonly base: string;
  readonly state: string;
  readonly root: string;
  /** `--state`, `--root`, `--store` and the time-outs for this host. Without more, the command decides as `careful`. */
  readonly args: ReadonlyArray<string>;
  /** The same, and that containerd 1.7 decides. */
  readonly as17: ReadonlyArray<string>;
  readonly bundlePath: (id: string, namespace?: string) => string;
  /**
   * The one namespace of its bundles, of its own: a host that decides as `careful` looks at all processes of the machine, and
   * another test may just run the program of a shim for a bundle of the same id.
   */
  readonly namespace: string;
  /** Lays out a bundle with its working directory, and starts its shim. */
  readonly addBundle: (id: string, bundle?: Bundle) => Promise<void>;
  /** The same for a name of any bytes, without a shim. */
  readonly addRawBundle: (id: Buffer, files: Readonly<Record<string, string>>) => void;
  /** What the binary of every shim does. */
  readonly setBinary: (script: string) => void;
  readonly binary: string;
  /** What the store knows: containers of its namespace. */
  readonly setContainers: (runtimes: Readonly<Record<string, string>>) => void;
  readonly store: string;
  readonly bundles: (namespace?: string) => ReadonlyArray<string>;
  readonly workDirectories: (namespace?: string) => ReadonlyArray<string>;
  /** Everything below the two directories with all that would tell of a change. */
  readonly fingerprint: () => ReadonlyArray<string>;
  readonly stopShim: (id: string) => Promise<void>;
  /** Another shim where a bundle's listened. */
  readonly replaceShim: (id: string, script: ShimScript) => Promise<void>;
  /** A bundle's shim ends its connections, and goes on. */
  readonly hangUpShim: (id: string) => void;
  /** How often a bundle's shim was asked anything. */
  readonly callsTo: (id: string) => number;
  readonly cleanUp: () => Promise<void>;
}

const listed = (directory: string): ReadonlyArray<string> =>
  fs
    .readdirSync(directory, { encoding: 'buffer' })
    .map((name) => name.toString('latin1'))
    .sort();

/** Everything at and below a path with all that would tell of a change. */
export const fingerprintOf = (at: Buffer): ReadonlyArray<string> => {
  const status = fs.lstatSync(at, { bigint: true });
  const content = status.isSymbolicLink() ? fs.readlinkSync(at) : '';
  const bytes = status.isFile() && status.size < 1_000_000n ? fs.readFileSync(at, 'latin1') : '';
  const { mode, ino, size, mtimeNs, ctimeNs } = status;
  const line = [at.toString('latin1'), mode, ino, size, mtimeNs, ctimeNs, content, bytes].map(String).join(' ');
  if (!status.isDirectory()) return [line];
  const names = fs.readdirSync(at, { encoding: 'buffer' }).sort((first, second) => first.compare(second));
  return [line, ...names.flatMap((name) => fingerprintOf(Buffer.concat([at, Buffer.from('/'), name])))];
};

/** Where the two directories of a host are, below its base. */
export interface Places {
  readonly state: string;
  readonly root: string;
}

/** Directories of no daemon's naming. */
const ownNames: Places = { state: 'state', root: 'root' };

/** An empty host. */
export const makeHost = (places: Places = ownNames): Host => {
  const base = fs.mkdtempSync(path.join(os.tmpdir(), 'sr-'));
  const [state, root, store, binary] = [places.state, places.root, 'store.json', 'shim'].map((name) =>
    path.join(base, name),
  );
  if (state === undefined || root === undefined || store === undefined || binary === undefined) throw new Error();
  const namespace = path.basename(base);
  const shims = new Map<string, ScriptedShim>();
  for (const directory of [state, root])
    fs.mkdirSync(path.join(directory, namespace), { recursive: true, mode: 0o711 });

  const addRawBundle = (id: Buffer, files: Readonly<Record<string, string>>): void => {
    const [bundle, work] = [state, root].map((directory) =>
      Buffer.concat([Buffer.from(`${directory}/${namespace}/`), id]),
    );
    if (bundle === undefined || work === undefined) return;
    const inBundle = (name: string): Buffer => Buffer.concat([bundle, Buffer.from(`/${name}`)]);
    fs.mkdirSync(inBundle('rootfs'), { recursive: true, mode: 0o711 });
    fs.mkdirSync(work, { mode: 0o711 });
    fs.symlinkSync(work, inBundle('work'));
    for (const [name, content] of Object.entries({ 'config.json': '{}', ...files }))
      fs.writeFileSync(inBundle(name), content);
  };

  const args = ['--state', state, '--root', root, '--store', `json:${store}`, '--load-timeout', '2s'];
  const host: Host = {
    base,
    state,
    root,
    store,
    binary,
    namespace,
    args,
    as17: [...args, '--policy', 'containerd-1.7'],
    bundlePath: (id, within = namespace) => path.join(state, within, id),
    addRawBundle,
    addBundle: async (id, { files, shim } = {}) => {
      const socketPath = path.join(base, `${id}.sock`);
      const shimFiles = shim === undefined ? {} : { 'shim-binary-path': binary, address: `unix://${socketPath}` };
      addRawBundle(Buffer.from(id), { ...shimFiles, ...files });
      if (shim === undefined) return;
      execFileSync('mkfifo', ['-m', '0700', path.join(state, namespace, id, 'log')]);
      shims.set(id, right(await startScriptedShim({ socketPath, script: shim })()));
    },
    setBinary: (script) => fs.writeFileSync(binary, `#!/bin/sh\n${script}\n`, { mode: 0o755 }),
    setContainers: (runtimes) => {
      const containers = Object.fromEntries(Object.entries(runtimes).map(([id, runtime]) => [id, { runtime }]));
      fs.writeFileSync(
        store,
        JSON.stringify({ schema: 'shim-recovery/store@1', namespaces: { [namespace]: { containers } } }),
      );
    },
    bundles: (within = namespace) => listed(path.join(state, within)),
    workDirectories: (within = namespace) => listed(path.join(root, within)),
    fingerprint: () => [state, root].flatMap((directory) => fingerprintOf(Buffer.from(directory))),
    stopShim: async (id) => {
      await shims.get(id)?.stop();
    },
    replaceShim: async (id, script) => {
      const socketPath = path.join(base, `${id}.sock`);
      await shims.get(id)?.stop();
      fs.rmSync(socketPath, { force: true });
      shims.set(id, right(await startScriptedShim({ socketPath, script })()));
    },
    hangUpShim: (id) => shims.get(id)?.hangUp(),
    callsTo: (id) => shims.get(id)?.calls().length ?? 0,
    cleanUp: async () => {
      for (const shim of shims.values()) await shim.stop();
      fs.rmSync(base, { recursive: true, force: true });
    },
  };
  host.setBinary(goodBinary);
  host.setContainers({});
  return host;
};

/** Lays out a host, uses it, and takes it away again. */
export const withHost = async <A>(use: (host: Host) => Promise<A>, places?: Places): Promise<A> => {
  const host = makeHost(places);
  try {
    return await use(host);
  } finally {
    await host.cleanUp();
  }
};
