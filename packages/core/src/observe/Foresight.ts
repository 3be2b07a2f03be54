/** Foresees which steps of a plan will fail, as far as can be seen before anything is tried. Changes nothing. */
import * as E from 'fp-ts/lib/Either.js';
import type { Task } from 'fp-ts/lib/Task.js';
import { type Namespaces, withBundle, withDirectory } from './BundleHandles.js';
import type { Capabilities } from './Capabilities.js';
import type { BundleEvidence, Obstacle } from '../decide/Evidence.js';
import { codeOf, showFileError } from '../capabilities/FileSystem.js';
import * as Layout from '../capabilities/BundleLayout.js';
import type { Settings } from '../policy/Settings.js';
import { type StepTree, successPath } from '../plan/Step.js';

export interface ForesightNeeds {
  readonly capabilities: Pick<Capabilities, 'fileSystem' | 'mounts'>;
  readonly namespaces: Namespaces;
  readonly settings: Pick<Settings, 'state' | 'policy'>;
  /** Whether the state directory is on a file system that is mounted read-only; looked at once a run. */
  readonly isReadOnly: Task<boolean>;
}

/** Looks once, when it is first asked. */
export const makeIsReadOnly = (
  { fileSystem }: Pick<Capabilities, 'fileSystem'>,
  { state }: Pick<Settings, 'state'>,
): Task<boolean> => {
  let looked: Promise<boolean> | undefined;
  const look = async (): Promise<boolean> => {
    const written = await withDirectory(fileSystem)(fileSystem.openPath(state), fileSystem.writable)();
    return E.isLeft(written) && codeOf(written.left) === readOnly;
  };
  return () => (looked ??= look());
};

const readOnly = 'EROFS';

/** The obstacles to the steps of one bundle. */
export const foresee =
  (needs: ForesightNeeds) =>
  (evidence: BundleEvidence, steps: StepTree): Task<ReadonlyArray<Obstacle>> =>
  async () => {
    const planned = new Set(successPath(steps).map(({ _tag }) => _tag));
    const { contents } = evidence;
    const isLogMade = contents?._tag === 'Listed' && contents.log._tag === 'Absent' && planned.has('OpenLogPipe');
    const isLogNeeded = isLogMade && planned.has('Register') && needs.settings.policy.logOpened !== 'optional';
    const isRemoved = planned.has('RemoveBundle') || planned.has('RemoveLeftover');
    return [
      ...(isLogNeeded ? await whyNotMade(needs, evidence) : []),
      ...(planned.has('WriteBootstrap') ? await whyNotWritten(needs, evidence) : []),
      ...(planned.has('UnmountRootfs') ? await whyNotUnmounted(needs, evidence) : []),
      ...(isRemoved ? await whyNotRemoved(needs, evidence) : []),
    ];
  };

/** Where the log is missing, a daemon makes it; one that cannot gives the shim up. */
const whyNotMade = async (needs: ForesightNeeds, evidence: BundleEvidence): Promise<ReadonlyArray<Obstacle>> => {
  const written = await whyNotWritable(needs, evidence);
  return E.isLeft(written)
    ? [{ step: 'open-log-pipe', says: `its log cannot be made: ${showFileError(written.left)}` }]
    : [];
};

const whyNotWritable = ({ capabilities: { fileSystem }, namespaces }: ForesightNeeds, evidence: BundleEvidence) =>
  withBundle(fileSystem, namespaces)(evidence, fileSystem.writable)();

/** A full or read-only file system: then a daemon that must write `bootstrap.json` gives the shim up. */
const whyNotWritten = async (needs: ForesightNeeds, evidence: BundleEvidence): Promise<ReadonlyArray<Obstacle>> => {
  const written = await whyNotWritable(needs, evidence);
  return E.isLeft(written)
    ? [{ step: 'write-bootstrap', says: `bootstrap.json cannot be written: ${showFileError(written.left)}` }]
    : [];
};

/** A symlink on the way to the state directory: then the mount table calls the place by another path (H13). */
const whyNotUnmounted = async (
  { capabilities: { fileSystem, mounts }, namespaces, settings: { policy, state } }: ForesightNeeds,
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

/** Nothing is removed from a file system that is mounted read-only. */
const whyNotRemoved = async (needs: ForesightNeeds, evidence: BundleEvidence): Promise<ReadonlyArray<Obstacle>> => {
  if (!(await needs.isReadOnly())) return [];
  const written = await whyNotWritable(needs, evidence);
  return E.isLeft(written) && codeOf(written.left) === readOnly
    ? [{ step: 'remove-bundle', says: `the bundle cannot be removed: ${showFileError(written.left)}` }]
    : [];
};
