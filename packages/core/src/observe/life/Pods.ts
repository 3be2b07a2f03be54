/**
 * Which bundles share a shim, in the tree that is recovered and in the one beside it: those with the same socket, the same
 * `sandbox` file, or the same sandbox in the annotations of `config.json`.
 */
import * as E from 'fp-ts/lib/Either.js';
import type { Task } from 'fp-ts/lib/Task.js';
import { makeNamespaces, type Namespaces } from '../BundleHandles.js';
import * as B from '../../base/ByteString.js';
import type { SocketName } from '../../capabilities/ShimSocket.js';
import type { Capabilities } from '../Capabilities.js';
import type { BundleEvidence, Reading } from '../../decide/Evidence.js';
import { showFileError } from '../../capabilities/FileSystem.js';
import { isHidden, unhidden } from '../../policy/Names.js';
import * as Layout from '../../capabilities/BundleLayout.js';
import { type Policy, careful } from '../../policy/Policy.js';
import { shimAddress } from '../../decide/ShimAddress.js';
import { readSnapshot } from '../Snapshot.js';
import { type ContainerConfig, readConfig, type Said } from './ContainerFiles.js';

/** A bundle of the tree that is recovered, or of the one beside it. `tree` is undefined for the former. */
export interface Neighbour {
  readonly tree: B.ByteString | undefined;
  readonly evidence: BundleEvidence;
}

/** The name by which reports call a neighbour: with its tree and namespace where it is of another tree. */
export const nameOf = ({ tree, evidence: { namespace, id } }: Neighbour): B.ByteString =>
  tree === undefined ? id : B.concat(tree, slash, namespace, slash, id);

const slash = B.fromText('/');

export interface Pods {
  /** The other bundles that share this one's shim by its socket alone, as a policy reads it: nothing more is read for that. */
  readonly atSocketOf: (policy: Policy, evidence: BundleEvidence) => ReadonlyArray<Neighbour>;
  /** All other bundles of its pod. Reads `config.json` of every bundle of the namespace, once. */
  readonly membersOf: (evidence: BundleEvidence) => Task<ReadonlyArray<Neighbour>>;
  /** The `config.json` of a bundle in the tree that is recovered, where it was read for its pod. */
  readonly configOf: (evidence: BundleEvidence) => Task<Said<ContainerConfig> | undefined>;
  /** The name of the tree beside this one. */
  readonly treeBeside: B.ByteString | undefined;
  /** The bundles of the tree beside this one. */
  readonly beside: Task<ReadonlyArray<BundleEvidence>>;
  /**
   * Why not every member of its pod is known, for the middle of a sentence: the tree beside could not be looked at, or what
   * its file `sandbox` said is lost. `undefined` where all are.
   */
  readonly unknownMembers: (evidence: BundleEvidence) => Task<string | undefined>;
}

/** Where the shim of a bundle listens, as far as its files say it in a form that shims write. */
export const socketOf = (policy: Policy, { contents }: BundleEvidence): SocketName | undefined => {
  const address = contents?._tag === 'Listed' ? shimAddress(policy)(contents) : undefined;
  return address?._tag === 'Target' ? address.target.socket : undefined;
};

/** The bundles by a key that those of one pod have in common. */
class Groups {
  readonly #members = new Map<string, Array<Neighbour>>();
  add(key: string, neighbour: Neighbour): void {
    const there = this.#members.get(key);
    if (there === undefined) this.#members.set(key, [neighbour]);
    else there.push(neighbour);
  }
  get(key: string): ReadonlyArray<Neighbour> {
    return this.#members.get(key) ?? [];
  }
}

/** Finds the pods among the bundles of one snapshot and those of the tree beside it. */
export const makePods = (
  capabilities: Pick<Capabilities, 'fileSystem' | 'clock'>,
  { state, namespaces: wanted }: { readonly state: B.ByteString; readonly namespaces: ReadonlyArray<B.ByteString> },
  namespaces: Namespaces,
  bundles: ReadonlyArray<BundleEvidence>,
): Pods => {
  const own = bundles.map((evidence): Neighbour => ({ tree: undefined, evidence }));
  const snapshotOf = new Map(bundles.map((evidence) => [podKey(evidence.namespace, evidence.id), evidence]));
  const beside = treeBeside(state);
  const bySocket = new Map<Policy, Groups>();
  let all: Promise<FoundPods> | undefined;

  const found = (): Promise<FoundPods> => (all ??= findPods(capabilities, { own, namespaces, beside, wanted }));

  return {
    atSocketOf: (policy, evidence) => {
      const groups = bySocket.get(policy) ?? groupBySocket(policy, own);
      bySocket.set(policy, groups);
      const socket = socketOf(policy, evidence);
      const there = socket === undefined ? [] : groups.get(socketKey(evidence.namespace, socket));
      return there.filter((neighbour) => !isSame(neighbour, evidence));
    },
    membersOf: (evidence) => async () => {
      const { groups, sockets, sandboxOf } = await found();
      const { namespace, id } = evidence;
      const sandbox = sandboxOf.get(snapshotOf.get(podKey(namespace, id)) ?? evidence);
      const socket = socketOf(careful, evidence);
      const members = new Set([
        ...groups.get(podKey(namespace, id)),
        ...(sandbox === undefined ? [] : groups.get(podKey(namespace, sandbox))),
        ...(socket === undefined ? [] : sockets.get(socketKey(namespace, socket))),
      ]);
      return [...members].filter((neighbour) => !isSame(neighbour, evidence));
    },
    configOf:
      ({ namespace, id }) =>
      async () =>
        (await found()).configs.get(podKey(namespace, id)),
    treeBeside: beside === undefined ? undefined : B.slice(beside, beside.lastIndexOf('/') + 1),
    beside: async () => (await found()).beside,
    unknownMembers: (evidence) => async () => (await found()).problem ?? lostSandbox(evidence),
  };
};

/** Where the pods of a snapshot are looked for. */
interface SearchedTrees {
  /** The bundles of the snapshot. */
  readonly own: ReadonlyArray<Neighbour>;
  readonly namespaces: Namespaces;
  /** The path of the tree beside; `undefined` where there can be none. */
  readonly beside: B.ByteString | undefined;
  /** The namespaces that a run looks at; none means all. */
  readonly wanted: ReadonlyArray<B.ByteString>;
}

/** The pod that each bundle says it belongs to, by its `sandbox` file or its annotations. */
const findPods = async (
  capabilities: Pick<Capabilities, 'fileSystem' | 'clock'>,
  { own, namespaces, beside, wanted }: SearchedTrees,
): Promise<FoundPods> => {
  const other = beside === undefined ? noTree : await readTree(capabilities, beside, wanted);
  const treeName = beside === undefined ? undefined : B.slice(beside, beside.lastIndexOf('/') + 1);
  const neighbours = [...own, ...other.bundles.map((evidence): Neighbour => ({ tree: treeName, evidence }))];
  const groups = new Groups();
  const sandboxOf = new Map<BundleEvidence, B.ByteString>();
  const configs = new Map<string, Said<ContainerConfig>>();
  for (const neighbour of neighbours) {
    const turn = capabilities.clock.yieldIfDue();
    if (turn !== undefined) await turn;
    const { evidence } = neighbour;
    const { namespace, id, contents } = evidence;
    groups.add(podKey(namespace, id), neighbour);
    // An interrupted removal may have renamed the sandbox that others name.
    if (isHidden(id)) groups.add(podKey(namespace, unhidden(id)), neighbour);
    if (contents?._tag !== 'Listed') continue;
    const open = neighbour.tree === undefined ? namespaces : other.namespaces;
    const config = open === undefined ? undefined : await readConfig(capabilities.fileSystem, open)(evidence)();
    if (config !== undefined && neighbour.tree === undefined) configs.set(podKey(namespace, id), config);
    const annotated = config?._tag === 'Says' ? config.value.sandboxId : undefined;
    const sandboxes = new Set([sandboxIn(contents.sandbox), annotated].filter((one) => one !== undefined));
    for (const sandbox of sandboxes) {
      sandboxOf.set(evidence, sandbox);
      if (sandbox !== id) groups.add(podKey(namespace, sandbox), neighbour);
    }
  }
  await other.namespaces?.closeIdle();
  return {
    groups,
    sockets: groupBySocket(careful, neighbours),
    sandboxOf,
    configs,
    beside: other.bundles,
    problem: other.problem,
  };
};

const podKey = (namespace: B.ByteString, sandbox: B.ByteString): string => JSON.stringify([namespace, sandbox]);

/** The tree of the other kind beside a state directory; `undefined` for a directory that is named otherwise. */
const treeBeside = (state: B.ByteString): B.ByteString | undefined => {
  const at = state.lastIndexOf('/');
  const { tasks, sandboxes } = Layout.plugin;
  const name = B.slice(state, at + 1);
  if (name !== tasks && name !== sandboxes) return undefined;
  return Layout.below(B.slice(state, 0, at), name === tasks ? sandboxes : tasks);
};

/** The pods of both trees, by what their bundles have in common. */
interface FoundPods {
  readonly groups: Groups;
  readonly sockets: Groups;
  /** The sandbox that a bundle names as its own. */
  readonly sandboxOf: ReadonlyMap<BundleEvidence, B.ByteString>;
  readonly configs: ReadonlyMap<string, Said<ContainerConfig>>;
  readonly beside: ReadonlyArray<BundleEvidence>;
  /** Why the tree beside could not be looked at. */
  readonly problem: string | undefined;
}

const noTree: OtherTree = { bundles: [], namespaces: undefined, problem: undefined };

/** Reads the tree beside; it is only looked at. */
const readTree = async (
  { fileSystem, clock }: Pick<Capabilities, 'fileSystem' | 'clock'>,
  path: B.ByteString,
  wanted: ReadonlyArray<B.ByteString>,
): Promise<OtherTree> => {
  const opened = await fileSystem.openPath(path)();
  if (E.isLeft(opened)) {
    const isMissing = opened.left._tag === 'SystemError' && opened.left.code === 'ENOENT';
    return isMissing ? noTree : { ...noTree, problem: `${B.show(path)} cannot be looked at` };
  }
  const namespaces = makeNamespaces(fileSystem, opened.right);
  const snapshot = await readSnapshot(fileSystem, clock)(opened.right, wanted)();
  const problem =
    E.isLeft(snapshot) || snapshot.right.some(({ error }) => error !== null)
      ? `${B.show(path)} cannot be looked at`
      : undefined;
  const bundles = E.isLeft(snapshot) ? [] : snapshot.right.flatMap((namespace) => namespace.bundles);
  return {
    bundles,
    namespaces: {
      ...namespaces,
      closeIdle: async () => {
        await namespaces.closeIdle();
        await fileSystem.close(opened.right)();
      },
    },
    problem,
  };
};

interface OtherTree {
  readonly bundles: ReadonlyArray<BundleEvidence>;
  readonly namespaces: Namespaces | undefined;
  readonly problem: string | undefined;
}

const sandboxIn = (reading: Reading | undefined): B.ByteString | undefined =>
  reading?._tag === 'Read' && isId(reading.content) ? reading.content : undefined;

/** No daemon writes control characters or a slash into an id, and a file that lost its content may hold them, or nothing. */
const isId = (text: B.ByteString): boolean => /^[^\x00-\x1f\x7f/]+$/.test(text);

const groupBySocket = (policy: Policy, neighbours: ReadonlyArray<Neighbour>): Groups => {
  const groups = new Groups();
  for (const neighbour of neighbours) {
    const socket = socketOf(policy, neighbour.evidence);
    if (socket !== undefined) groups.add(socketKey(neighbour.evidence.namespace, socket), neighbour);
  }
  return groups;
};

const socketKey = (namespace: B.ByteString, socket: SocketName): string => JSON.stringify([namespace, socket]);

const isSame = (neighbour: Neighbour, { namespace, id }: BundleEvidence): boolean =>
  neighbour.tree === undefined && neighbour.evidence.namespace === namespace && neighbour.evidence.id === id;

/** Why we cannot know which sandbox a bundle names. */
const lostSandbox = ({ contents }: BundleEvidence): string | undefined => {
  const reading = contents?._tag === 'Listed' ? contents.sandbox : undefined;
  if (reading?._tag === 'Failed') return showFileError(reading.error);
  return reading?._tag === 'Read' && !isId(reading.content)
    ? 'its file sandbox holds no id: which pod it belongs to is not known'
    : undefined;
};
