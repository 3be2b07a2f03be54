/**
 * For whom else a shim works that listens at a bundle's socket, by its process: another bundle that its command line names, or
 * that it works in; and the id that the bundle had before it was renamed. A shim is told to end only if it works for nothing
 * else: one that knows no task of this id may have one of another.
 */
import * as E from 'fp-ts/lib/Either.js';
import type { Task } from 'fp-ts/lib/Task.js';
import * as B from '../../base/ByteString.js';
import { type BundleEvidence, formerIdOf } from '../../decide/Evidence.js';
import { careful } from '../../policy/Policy.js';
import { type ProcessInfo, showProcessesError } from '../../capabilities/Processes.js';
import { nameOf, socketOf } from './Pods.js';
import { lastTwo, type ProcessesSeen, type ShimCommand, shimCommandOf } from './ProcessTable.js';
import type { SignNeeds } from './SignsOfLife.js';

/** The names of the other bundles of both trees, or their ids; a text where it cannot be told for whom the shim works. */
export const otherOwnersOfShim =
  (needs: SignNeeds) =>
  (evidence: BundleEvidence): Task<ReadonlyArray<B.ByteString>> =>
  async () => {
    const seen = await needs.processes();
    if (E.isLeft(seen)) return [B.fromText(showProcessesError(seen.left))];
    const holders = await holdersOf(seen.right, evidence);
    if (E.isLeft(holders)) return [B.fromText(holders.left)];
    const former = formerIdOf(evidence);
    const owners = new Set(former === undefined || former === evidence.id ? [] : [former]);
    for (const process of holders.right)
      for (const owner of await ownersOf(needs, process, evidence)) owners.add(owner);
    return [...owners];
  };

/** The processes that have the bundle's socket open. Left: why they are not known, in the place of a bundle's name. */
const holdersOf = async (
  { table, listeners, holders }: ProcessesSeen,
  evidence: BundleEvidence,
): Promise<E.Either<string, ReadonlyArray<ProcessInfo>>> => {
  const socket = socketOf(careful, evidence);
  if (socket === undefined) return E.right([]);
  const listening = await listeners();
  if (E.isLeft(listening)) return E.left(showProcessesError(listening.left));
  const found: Array<ProcessInfo> = [];
  for (const { inode } of listening.right(socket)) {
    const pids = await holders(inode)();
    if (E.isLeft(pids)) return E.left(showProcessesError(pids.left));
    const known = pids.right.flatMap((pid) => table.byPid(pid) ?? []);
    // Some process has every listening socket: one that is in no table may be the shim of any bundle.
    if (known.length === 0) return E.left('a bundle that this program may not see');
    found.push(...known);
  }
  return E.right(found);
};

/** The other bundles that a process names, or works in. One that it names may be gone: then its shim is left as it is. */
const ownersOf = async (
  { bundleAt, exists, pods }: SignNeeds,
  process: ProcessInfo,
  evidence: BundleEvidence,
): Promise<ReadonlyArray<B.ByteString>> => {
  const { namespace } = evidence;
  const command = shimCommandOf(process.commandLine);
  if (command === undefined) return [];
  const beside = await pods.beside();
  const nameBeside = (other: BundleEvidence): B.ByteString => nameOf({ tree: pods.treeBeside, evidence: other });
  const ids = idsNamedBy(command, namespace);
  const named = ids.flatMap((id) => {
    const ofOtherTree = beside.flatMap((other) =>
      other.namespace === namespace && other.id === id ? [nameBeside(other)] : [],
    );
    if (id === evidence.id || (ofOtherTree.length > 0 && !exists({ namespace, id }))) return ofOtherTree;
    return [id, ...ofOtherTree];
  });
  if (process.currentDirectory._tag === 'Hidden')
    return ids.length > 0 ? named : [B.fromText('a bundle that this program may not see')];
  const directory = process.currentDirectory.value;
  const works = directory === undefined ? undefined : (await bundleAt())(directory);
  if (works === undefined || works.identity === evidence.identity) return named;
  return [...named, beside.includes(works) ? nameBeside(works) : works.id];
};

/** The ids that a shim's command line names in a namespace, by themselves or as the last part of a bundle's path. */
const idsNamedBy = ({ ids, bundles }: ShimCommand, namespace: B.ByteString): ReadonlyArray<B.ByteString> => {
  const ofPaths = bundles.flatMap((path) => {
    const [parent, id] = lastTwo(path);
    return id !== undefined && parent === namespace ? [id] : [];
  });
  return [...new Set([...ids, ...ofPaths])];
};
