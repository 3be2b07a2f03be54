/** The prober of one snapshot: the means to ask about its bundles. Facts that all of them share are looked up once. */
import * as E from 'fp-ts/lib/Either.js';
import type { IO } from 'fp-ts/lib/IO.js';
import type * as B from '../base/ByteString.js';
import type { FileError } from '../capabilities/FileSystem.js';
import type { DirectoryKey } from '../capabilities/Processes.js';
import type { BundleEvidence } from '../decide/Evidence.js';
import { shimAddress } from '../decide/ShimAddress.js';
import { type BundleId, keyOf } from '../policy/Names.js';
import type { Policy } from '../policy/Policy.js';
import type { Settings } from '../policy/Settings.js';
import { makeResolver } from '../policy/ShimProgram.js';
import type { Namespaces } from './BundleHandles.js';
import type { Capabilities } from './Capabilities.js';
import { type ForesightNeeds, makeIsReadOnly } from './Foresight.js';
import { retryBudget } from './RetryBudget.js';
import { makeRuntimeRecords } from './life/ContainerFiles.js';
import { makeMountedRootOf } from './life/MountedRoots.js';
import { makePods, type Pods } from './life/Pods.js';
import { makeProcessesSince, type ProcessesSince } from './life/ProcessTable.js';
import { makeProcessesBelow } from './life/ProcessesBelow.js';
import type { SignNeeds } from './life/SignsOfLife.js';

/** How far asking may go. */
export type Probing =
  /** Shims are asked, their log pipes are opened first: a shim that fills its log could not answer otherwise. */
  | 'asked-with-log'
  /** Shims are asked, and nothing is opened or made on disk. */
  | 'asked'
  /** No shim is dialled. */
  | 'not-asked';

export interface Prober extends SignNeeds, ForesightNeeds {
  readonly capabilities: Capabilities;
  readonly settings: Settings;
  readonly resolve: ReturnType<typeof makeResolver>;
  readonly probing: Probing;
  /** The processes as they are at a later moment, for a bundle that is asked again. */
  readonly processesSince: ProcessesSince;
  /** The rest of the time in which a store that cannot answer is asked again, in milliseconds. */
  readonly storeBudgetMs: IO<number>;
  /** The bundle of this id, where there is one. */
  readonly find: (key: BundleId) => BundleEvidence | undefined;
  /** The other bundles of the namespace whose shim listens at the same place, and those that do not say where. */
  readonly sharersOf: (
    policy: Policy,
    evidence: BundleEvidence,
  ) => {
    readonly sure: ReadonlyArray<B.ByteString>;
    readonly addressless: ReadonlyArray<B.ByteString>;
    readonly elsewhere: IO<ReadonlyArray<B.ByteString>>;
  };
}

/** For the bundles of one snapshot; what is the same for all of them is looked at once. */
export const makeProber = (
  capabilities: Capabilities,
  settings: Settings,
  namespaces: Namespaces,
  probing: Probing,
  bundles: ReadonlyArray<BundleEvidence>,
  pods: Pods = makePods(capabilities, settings, namespaces, bundles),
): Prober => {
  const processesSince = makeProcessesSince(capabilities.processes, capabilities.clock);
  let byKey: ReadonlyMap<string, BundleEvidence> | undefined;
  const find = (key: BundleId): BundleEvidence | undefined =>
    (byKey ??= new Map(bundles.map((bundle) => [keyOf(bundle), bundle]))).get(keyOf(key));
  let byDirectory: ReturnType<Prober['bundleAt']> | undefined;
  return {
    capabilities,
    settings,
    namespaces,
    resolve: makeResolver(capabilities.programFiles, settings.programSearch),
    probing,
    processes: processesSince(Number.NEGATIVE_INFINITY),
    processesSince,
    exists: (key) => find(key) !== undefined,
    find,
    pods,
    bundleAt: () => (byDirectory ??= bundlesByDirectory(bundles, pods)),
    runtimeRecords: makeRuntimeRecords(capabilities.fileSystem),
    mountedRootOf: makeMountedRootOf(capabilities, settings),
    processesBelow: makeProcessesBelow(capabilities, settings),
    namespacesBut: namesBut(namespaces),
    timeoutMs: settings.timeouts.loadMs,
    sharersOf: sharersAmong(bundles),
    isReadOnly: makeIsReadOnly(capabilities, settings),
    storeBudgetMs: retryBudget(capabilities.clock, settings.timeouts.storeMs),
  };
};

/** The bundles of both trees, by device and inode. */
const bundlesByDirectory = async (
  bundles: ReadonlyArray<BundleEvidence>,
  pods: Pods,
): Promise<(directory: DirectoryKey) => BundleEvidence | undefined> => {
  const known = new Map<string, BundleEvidence>();
  for (const bundle of [...bundles, ...(await pods.beside())])
    if (bundle.identity !== null) known.set(directoryKey(bundle.identity), bundle);
  return (directory) => known.get(directoryKey(directory));
};

const directoryKey = ({ device, inode }: DirectoryKey): string => `${device}:${inode}`;

/** Listed once. Where they cannot be, none is known, and no process is taken for that of another namespace. */
const namesBut = (namespaces: Namespaces): Prober['namespacesBut'] => {
  let all: Promise<E.Either<FileError, ReadonlyArray<B.ByteString>>> | undefined;
  const known = new Map<B.ByteString, ReadonlySet<string>>();
  return (name) => async () => {
    const names = await (all ??= namespaces.names());
    const others = known.get(name) ?? new Set(E.isRight(names) ? names.right.filter((other) => other !== name) : []);
    known.set(name, others);
    return others;
  };
};

const sharersAmong = (bundles: ReadonlyArray<BundleEvidence>): Prober['sharersOf'] => {
  const byPolicy = new Map<Policy, Neighbours>();
  const neighboursFor = (policy: Policy): Neighbours => {
    const known = byPolicy.get(policy) ?? {
      atShim: idsBy((bundle) => shimKey(policy, bundle), bundles),
      inNamespace: idsBy(({ namespace }) => namespace, bundles),
    };
    byPolicy.set(policy, known);
    return known;
  };
  return (policy, evidence) => {
    const { atShim, inNamespace } = neighboursFor(policy);
    const others = (ids: ReadonlyArray<B.ByteString> = []): ReadonlyArray<B.ByteString> =>
      ids.filter((id) => id !== evidence.id);
    const sure = others(atShim.get(shimKey(policy, evidence)));
    const addressless = others(atShim.get(nowhere(evidence)));
    return {
      sure,
      addressless,
      elsewhere: () => {
        const known = new Set([...sure, ...addressless]);
        return others(inNamespace.get(evidence.namespace)).filter((id) => !known.has(id));
      },
    };
  };
};

/** The bundles by where their shims listen, and by namespace. */
interface Neighbours {
  readonly atShim: ReadonlyMap<string, ReadonlyArray<B.ByteString>>;
  readonly inNamespace: ReadonlyMap<B.ByteString, ReadonlyArray<B.ByteString>>;
}

const idsBy = <K>(
  keyOf: (bundle: BundleEvidence) => K,
  bundles: ReadonlyArray<BundleEvidence>,
): ReadonlyMap<K, ReadonlyArray<B.ByteString>> => {
  const groups = new Map<K, Array<B.ByteString>>();
  for (const bundle of bundles) {
    const key = keyOf(bundle);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [bundle.id]);
    else group.push(bundle.id);
  }
  return groups;
};

/** Where a bundle's shim listens, as a key; one for all bundles of a namespace that do not say. */
const shimKey = (policy: Policy, evidence: BundleEvidence): string => {
  const { namespace, contents } = evidence;
  const address = contents?._tag === 'Listed' ? shimAddress(policy)(contents) : undefined;
  return address?._tag === 'Target' ? JSON.stringify([namespace, address.target.socket]) : nowhere(evidence);
};

const nowhere = ({ namespace }: BundleEvidence): string => JSON.stringify([namespace]);
