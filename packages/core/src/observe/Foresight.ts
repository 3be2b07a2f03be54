/** What will keep a step of a plan from being done, as far as that can be seen before anything is tried. Changes nothing. */
import * as E from 'fp-ts/lib/Either.js';
import type { Task } from 'fp-ts/lib/Task.js';
import { type Namespaces, withBundle } from '../BundleDirectory.js';
import type { Capabilities } from '../Capabilities.js';
import type { BundleEvidence, Obstacle } from '../Evidence.js';
import { showFileError } from '../FileSystem.js';
import * as Layout from '../Layout.js';
import type { Settings } from '../Settings.js';
import { type StepTree, successPath } from '../Step.js';

interface Needs {
  readonly capabilities: Pick<Capabilities, 'fileSystem' | 'mounts'>;
  readonly namespaces: Namespaces;
  readonly settings: Pick<Settings, 'state' | 'policy'>;
}

/** The obstacles to the steps of one bundle. */
export const foresee =
  (needs: Needs) =>
  (evidence: BundleEvidence, steps: StepTree): Task<ReadonlyArray<Obstacle>> =>
  async () => {
    const planned = new Set(successPath(steps).map(({ _tag }) => _tag));
    return [
      ...(planned.has('WriteBootstrap') ? await whyNotWritten(needs, evidence) : []),
      ...(planned.has('UnmountRootfs') ? await whyNotUnmounted(needs, evidence) : []),
    ];
  };

/** A full or read-only file system: then a daemon that must write `bootstrap.json` gives the shim up. */
const whyNotWritten = async (
  { capabilities: { fileSystem }, namespaces }: Needs,
  evidence: BundleEvidence,
): Promise<ReadonlyArray<Obstacle>> => {
  const written = await withBundle(fileSystem, namespaces)(evidence, fileSystem.writable)();
  return E.isLeft(written)
    ? [{ step: 'write-bootstrap', says: `bootstrap.json cannot be written: ${showFileError(written.left)}` }]
    : [];
};

/** A symlink on the way to the state directory: then the mount table calls the place by another path (H13). */
const whyNotUnmounted = async (
  { capabilities: { fileSystem, mounts }, namespaces, settings: { policy, state } }: Needs,
  evidence: BundleEvidence,
): Promise<ReadonlyArray<Obstacle>> => {
  if (policy.unmounts !== 'rootfs-and-below') return [];
  const resolved = await mounts.resolve(state)();
  if (E.isLeft(resolved) || resolved.right === state) return [];
  const rootfs = await withBundle(fileSystem, namespaces)(evidence, (directory) =>
    fileSystem.status({ directory, name: Layout.entry.rootfs }),
  )();
  const isMounted = E.isRight(rootfs) && evidence.identity !== null && rootfs.right.device !== evidence.identity.device;
  return isMounted
    ? [
        {
          step: 'unmount-rootfs',
          says: `what is mounted on rootfs stays mounted, as a symlink leads to the state directory (H13): ${policy.name} then cannot remove the bundle`,
        },
      ]
    : [];
};
