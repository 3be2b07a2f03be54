/**
 * The command lines of containerd's shims, as their sources build them, with what a reader of flags must find in them.
 * `docs/runtimes.md` says where each was read. Flags follow Go's package `flag`, also in the Rust shims.
 */

/** A shim's command line and current directory. */
export interface ShimCommandLine {
  /** The shim and its version, for the name of a test. */
  readonly runtime: string;
  /** The words of `/proc/PID/cmdline`. A word may be empty. */
  readonly argv: ReadonlyArray<string>;
  /**
   * - `bundle`: the bundle of the container that the shim was started for, which may be the only one of its shim.
   * - `sandbox-bundle`: the bundle of the pod's sandbox, whose id the shim has.
   * - `root`: the root directory, where no shim runs that was read.
   * - `unknown`: a directory that tells nothing of bundles, such as one in a container.
   */
  readonly cwd: 'bundle' | 'sandbox-bundle' | 'root' | 'unknown';
  /** The value of `-namespace`. */
  readonly namespace: string;
  /** The values that name a bundle. A flag that is missing or empty names none. */
  readonly names: { readonly id?: string; readonly bundle?: string; readonly workdir?: string };
  /** The base name of the first word. */
  readonly program: string;
}

const web = '5b1c0a3e9d2f4867a1b2c3d4e5f60718293a4b5c6d7e8f90112233445566778f';
const pod = 'c0ffee254729296a45a3885639ac7e10f9d54979d1c4f7b0a2e6d8c3b5a19f04';

const address = '/run/containerd/containerd.sock';
const daemon = '/usr/bin/containerd';
const tasks = '/run/containerd/io.containerd.runtime.v2.task';
const socket = 'unix:///run/containerd/s/3bd4a8c6f1e2907d5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f';

const runc = '/usr/bin/containerd-shim-runc-v2';
const program = 'containerd-shim-runc-v2';

/** Long-lived shims, as they are started. */
const shims: ReadonlyArray<ShimCommandLine> = [
  {
    runtime: 'runc shim, containerd 1.3 to main',
    argv: [runc, '-namespace', 'default', '-id', 'web', '-address', address],
    cwd: 'bundle',
    namespace: 'default',
    names: { id: 'web' },
    program,
  },
  {
    runtime: 'runc shim of a pod',
    argv: [runc, '-namespace', 'k8s.io', '-id', pod, '-address', address],
    cwd: 'sandbox-bundle',
    namespace: 'k8s.io',
    names: { id: pod },
    program,
  },
  {
    runtime: 'runc shim while containerd logs at debug level',
    argv: [runc, '-namespace', 'k8s.io', '-id', pod, '-address', address, '-debug'],
    cwd: 'sandbox-bundle',
    namespace: 'k8s.io',
    names: { id: pod },
    program,
  },
  {
    runtime: 'runc shim of k3s',
    argv: [
      '/var/lib/rancher/k3s/data/0d1e2f3a/bin/containerd-shim-runc-v2',
      '-namespace',
      'k8s.io',
      '-id',
      pod,
      '-address',
      '/run/k3s/containerd/containerd.sock',
    ],
    cwd: 'sandbox-bundle',
    namespace: 'k8s.io',
    names: { id: pod },
    program,
  },
  {
    runtime: 'runc shim of Docker',
    argv: [runc, '-namespace', 'moby', '-id', web, '-address', address],
    cwd: 'bundle',
    namespace: 'moby',
    names: { id: web },
    program,
  },
  {
    runtime: "runc shim of a containerd that is Docker's child",
    argv: [runc, '-namespace', 'moby', '-id', web, '-address', '/var/run/docker/containerd/containerd.sock'],
    cwd: 'bundle',
    namespace: 'moby',
    names: { id: web },
    program,
  },
  {
    runtime: 'runc shim of a Docker plugin',
    argv: [runc, '-namespace', 'plugins.moby', '-id', web, '-address', address],
    cwd: 'bundle',
    namespace: 'plugins.moby',
    names: { id: web },
    program,
  },
  {
    runtime: 'io.containerd.runc.v1, containerd 1.3 to 1.7',
    argv: ['/usr/bin/containerd-shim-runc-v1', '-namespace', 'default', '-id', 'web', '-address', address],
    cwd: 'bundle',
    namespace: 'default',
    names: { id: 'web' },
    program: 'containerd-shim-runc-v1',
  },
  {
    runtime: 'io.containerd.runc.v1, containerd 1.2',
    argv: ['/usr/bin/containerd-shim-runc-v1', '-namespace', 'default', '-address', address, '-publish-binary', daemon],
    cwd: 'bundle',
    namespace: 'default',
    names: {},
    program: 'containerd-shim-runc-v1',
  },
  {
    runtime: 'v1 shim, containerd 1.0 to 1.7',
    argv: [
      'containerd-shim',
      '-namespace',
      'default',
      '-workdir',
      '/var/lib/containerd/io.containerd.runtime.v1.linux/default/web',
      '-address',
      address,
      '-containerd-binary',
      daemon,
    ],
    cwd: 'bundle',
    namespace: 'default',
    names: { workdir: '/var/lib/containerd/io.containerd.runtime.v1.linux/default/web' },
    program: 'containerd-shim',
  },
  {
    runtime: 'v1 shim of Docker 18.06',
    argv: [
      'docker-containerd-shim',
      '-namespace',
      'moby',
      '-workdir',
      `/var/lib/docker/containerd/daemon/io.containerd.runtime.v1.linux/moby/${web}`,
      '-address',
      '/var/run/docker/containerd/docker-containerd.sock',
      '-containerd-binary',
      '/usr/bin/docker-containerd',
      '-runtime-root',
      '/var/run/docker/runtime-runc',
      '-systemd-cgroup',
      '-debug',
    ],
    cwd: 'bundle',
    namespace: 'moby',
    names: { workdir: `/var/lib/docker/containerd/daemon/io.containerd.runtime.v1.linux/moby/${web}` },
    program: 'docker-containerd-shim',
  },
  {
    runtime: 'runc shim in Rust, crate containerd-shim 0.9 and later',
    argv: [
      '/usr/local/bin/containerd-shim-runc-v2-rs',
      '-namespace',
      'k8s.io',
      '-id',
      pod,
      '-address',
      address,
      '-socket',
      socket,
    ],
    cwd: 'sandbox-bundle',
    namespace: 'k8s.io',
    names: { id: pod },
    program: 'containerd-shim-runc-v2-rs',
  },
  {
    runtime: 'runc shim in Rust, crate containerd-shim to 0.8',
    argv: [
      '/usr/local/bin/containerd-shim-runc-v2-rs',
      '-namespace',
      'default',
      '-id',
      'web',
      '-address',
      address,
      '-debug',
    ],
    cwd: 'bundle',
    namespace: 'default',
    names: { id: 'web' },
    program: 'containerd-shim-runc-v2-rs',
  },
  {
    runtime: "Kata in Go, with containerd's library before 1.7",
    argv: [
      '/opt/kata/bin/containerd-shim-kata-v2',
      '-namespace',
      'k8s.io',
      '-address',
      address,
      '-publish-binary',
      daemon,
      '-id',
      pod,
    ],
    cwd: 'sandbox-bundle',
    namespace: 'k8s.io',
    names: { id: pod },
    program: 'containerd-shim-kata-v2',
  },
  {
    runtime: "Kata in Go, with containerd's library 1.7: the path is an empty word",
    argv: [
      '/opt/kata/bin/containerd-shim-kata-v2',
      '-namespace',
      'k8s.io',
      '-address',
      address,
      '-publish-binary',
      '',
      '-id',
      pod,
      '-debug',
    ],
    cwd: 'sandbox-bundle',
    namespace: 'k8s.io',
    names: { id: pod },
    program: 'containerd-shim-kata-v2',
  },
  {
    runtime: 'Kata in Rust',
    argv: [
      '/opt/kata/runtime-rs/bin/containerd-shim-kata-v2',
      '-id',
      pod,
      '-namespace',
      'k8s.io',
      '-address',
      address,
      '-publish-binary',
      daemon,
    ],
    cwd: 'sandbox-bundle',
    namespace: 'k8s.io',
    names: { id: pod },
    program: 'containerd-shim-kata-v2',
  },
  {
    runtime: 'gVisor to release 20260420',
    argv: [
      '/usr/local/bin/containerd-shim-runsc-v1',
      '-namespace',
      'k8s.io',
      '-address',
      address,
      '-publish-binary',
      daemon,
    ],
    cwd: 'bundle',
    namespace: 'k8s.io',
    names: {},
    program: 'containerd-shim-runsc-v1',
  },
  {
    runtime: 'gVisor, releases 20260427 to 20260511',
    argv: [
      '/usr/local/bin/containerd-shim-runsc-v1',
      '-namespace',
      'k8s.io',
      '-address',
      address,
      '-id',
      web,
      '-publish-binary',
      daemon,
    ],
    cwd: 'bundle',
    namespace: 'k8s.io',
    names: { id: web },
    program: 'containerd-shim-runsc-v1',
  },
  {
    runtime: 'gVisor since release 20260520, with grouping',
    argv: [
      '/usr/local/bin/containerd-shim-runsc-v1',
      '-namespace',
      'k8s.io',
      '-address',
      address,
      '-id',
      pod,
      '-debug',
    ],
    cwd: 'sandbox-bundle',
    namespace: 'k8s.io',
    names: { id: pod },
    program: 'containerd-shim-runsc-v1',
  },
  {
    runtime: 'runwasi with Wasmtime',
    argv: ['/usr/local/bin/containerd-shim-wasmtime-v1', '-namespace', 'k8s.io', '-id', pod, '-address', address],
    cwd: 'sandbox-bundle',
    namespace: 'k8s.io',
    names: { id: pod },
    program: 'containerd-shim-wasmtime-v1',
  },
  {
    runtime: 'a WebAssembly container of runwasi, which keeps the command line of its shim',
    argv: ['/usr/local/bin/containerd-shim-wasmtime-v1', '-namespace', 'k8s.io', '-id', pod, '-address', address],
    cwd: 'unknown',
    namespace: 'k8s.io',
    names: { id: pod },
    program: 'containerd-shim-wasmtime-v1',
  },
  {
    runtime: 'Spin',
    argv: ['/usr/local/bin/containerd-shim-spin-v2', '-namespace', 'k8s.io', '-id', pod, '-address', address],
    cwd: 'sandbox-bundle',
    namespace: 'k8s.io',
    names: { id: pod },
    program: 'containerd-shim-spin-v2',
  },
  {
    runtime: 'firecracker-containerd',
    argv: ['containerd-shim-aws-firecracker', '-namespace', 'default', '-address', address],
    cwd: 'unknown',
    namespace: 'default',
    names: {},
    program: 'containerd-shim-aws-firecracker',
  },
  {
    runtime: 'nerdbox',
    argv: ['/usr/local/bin/containerd-shim-nerdbox-v1', '-namespace', 'default', '-id', 'web', '-address', address],
    cwd: 'bundle',
    namespace: 'default',
    names: { id: 'web' },
    program: 'containerd-shim-nerdbox-v1',
  },
];

/** Short calls of the same programs by the daemon. */
const calls: ReadonlyArray<ShimCommandLine> = [
  {
    runtime: 'start, containerd 1.6 and 1.7',
    argv: [
      runc,
      '-namespace',
      'default',
      '-address',
      address,
      '-publish-binary',
      daemon,
      '-id',
      'web',
      '-debug',
      'start',
    ],
    cwd: 'bundle',
    namespace: 'default',
    names: { id: 'web' },
    program,
  },
  {
    runtime: 'delete, containerd 1.6 to main',
    argv: [
      runc,
      '-namespace',
      'default',
      '-address',
      address,
      '-publish-binary',
      daemon,
      '-id',
      'web',
      '-bundle',
      `${tasks}/default/web`,
      'delete',
    ],
    cwd: 'bundle',
    namespace: 'default',
    names: { id: 'web', bundle: `${tasks}/default/web` },
    program,
  },
];

/** Forms that the parsers accept, and that no shim which was read is started with. */
const otherForms: ReadonlyArray<ShimCommandLine> = [
  {
    runtime: 'an equals sign in place of the next word',
    argv: [runc, '-namespace=default', '-id=web', `-address=${address}`],
    cwd: 'bundle',
    namespace: 'default',
    names: { id: 'web' },
    program,
  },
  {
    runtime: 'two dashes',
    argv: [runc, '--namespace', 'default', '--id', 'web', '--address', address],
    cwd: 'bundle',
    namespace: 'default',
    names: { id: 'web' },
    program,
  },
  {
    runtime: 'two dashes and an equals sign',
    argv: [runc, '--namespace=default', '--id=web', `--bundle=${tasks}/default/web`],
    cwd: 'bundle',
    namespace: 'default',
    names: { id: 'web', bundle: `${tasks}/default/web` },
    program,
  },
  {
    runtime: 'a value with an equals sign in it',
    argv: [runc, '-namespace', 'default', '-bundle=/run/a=b/default/web', '-id', 'web'],
    cwd: 'bundle',
    namespace: 'default',
    names: { id: 'web', bundle: '/run/a=b/default/web' },
    program,
  },
  {
    runtime: 'a switch takes no word',
    argv: [runc, '-debug', '-namespace', 'default', '-id', 'web'],
    cwd: 'bundle',
    namespace: 'default',
    names: { id: 'web' },
    program,
  },
  {
    runtime: 'a switch that is turned off',
    argv: [runc, '-debug=false', '-namespace', 'default', '-id', 'web'],
    cwd: 'bundle',
    namespace: 'default',
    names: { id: 'web' },
    program,
  },
  {
    runtime: 'the last of equal flags counts',
    argv: [runc, '-namespace', 'default', '-id', 'api', '-id=web'],
    cwd: 'bundle',
    namespace: 'default',
    names: { id: 'web' },
    program,
  },
  {
    runtime: 'a value that looks like a flag',
    argv: [runc, '-namespace', 'default', '-publish-binary', '-id', '-bundle', `${tasks}/default/web`],
    cwd: 'bundle',
    namespace: 'default',
    names: { bundle: `${tasks}/default/web` },
    program,
  },
  {
    runtime: 'an empty id',
    argv: [runc, '-namespace', 'default', '-id', '', '-address', address],
    cwd: 'bundle',
    namespace: 'default',
    names: {},
    program,
  },
  {
    runtime: 'an empty id behind an equals sign',
    argv: [runc, '-namespace', 'default', '-id=', '-address', address],
    cwd: 'bundle',
    namespace: 'default',
    names: {},
    program,
  },
  {
    runtime: 'no flags behind the first word without a dash',
    argv: [runc, '-namespace', 'default', 'start', '-id', 'web'],
    cwd: 'bundle',
    namespace: 'default',
    names: {},
    program,
  },
  {
    runtime: 'no flags behind two dashes alone',
    argv: [runc, '-namespace', 'default', '--', '-id', 'web'],
    cwd: 'bundle',
    namespace: 'default',
    names: {},
    program,
  },
  {
    runtime: 'no flags behind one dash alone',
    argv: [runc, '-namespace', 'default', '-', '-id', 'web'],
    cwd: 'bundle',
    namespace: 'default',
    names: {},
    program,
  },
  {
    runtime: 'a flag without its value',
    argv: [runc, '-namespace', 'default', '-id'],
    cwd: 'bundle',
    namespace: 'default',
    names: {},
    program,
  },
  {
    runtime: 'three dashes are not a flag, and the parser fails there',
    argv: [runc, '-namespace', 'default', '---id', 'web'],
    cwd: 'bundle',
    namespace: 'default',
    names: {},
    program,
  },
  {
    runtime: 'runhcs on Windows, whose words behind serve are its own',
    argv: [
      'containerd-shim-runhcs-v1.exe',
      '--namespace',
      'k8s.io',
      '--address',
      '\\\\.\\pipe\\containerd-containerd',
      '--publish-binary',
      'C:\\containerd\\containerd.exe',
      '--id',
      pod,
      'serve',
      '--socket',
      `\\\\.\\pipe\\ProtectedPrefix\\Administrators\\containerd-shim-k8s.io-${pod}-pipe`,
      '--is-sandbox',
    ],
    cwd: 'sandbox-bundle',
    namespace: 'k8s.io',
    names: { id: pod },
    program: 'containerd-shim-runhcs-v1.exe',
  },
];

/** Every example: long-lived shims, the daemon's short calls, and other forms that the parsers accept. */
export const shimCommandLines: ReadonlyArray<ShimCommandLine> = [...shims, ...calls, ...otherForms];
