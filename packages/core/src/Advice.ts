/** What to do about a bundle that is held: a hint for the operator. Nothing acts on such a bundle by itself. */
import type { Reason } from './Verdict.js';

/** What a hint is about, and for whom it is. */
export interface AboutHint {
  /** The policy that held the bundle: another one might destroy it. */
  readonly policy: string;
  readonly namespace: string;
  readonly id: string;
  /** The processes of the bundle that are known, and those among them that are its shim. */
  readonly pids: ReadonlyArray<number>;
  readonly shimPids: ReadonlyArray<number>;
  /** Whether this program's own view was too narrow to tell. */
  readonly isViewLimited: boolean;
  /** Whether the program is known that would clean up after its shim. */
  readonly hasProgram: boolean;
}

/** A sentence with the command that would act on it; undefined for what is not held. */
export const adviceOn = (
  reason: Reason,
  { policy, namespace, id, pids, shimPids, isViewLimited, hasProgram }: AboutHint,
): string | undefined => {
  const again = `run shim-recovery recover --policy ${policy} again`;
  const look = pids.length === 0 ? '' : ` (ps -fp ${pids.join(',')})`;
  const explain = `shim-recovery explain --policy ${policy} ${namespace}/${id}`;
  switch (reason) {
    case 'orphan-workload':
      if (!hasProgram)
        return `the program that would end this container is not known, as shim-binary-path does not name one that can be run; end its processes by hand${look}, then ${again}`;
      return `to end this container and clean up: shim-recovery recover --policy careful --orphans reap=${namespace}/${id}, with the other options as they were`;
    case 'shim-unresponsive':
      return shimPids.length === 0
        ? `${again} when the shim answers; to let a stopped shim go on, look for its process with ${explain}, and run kill -CONT on it${look}`
        : `${again} when the shim answers; a stopped shim continues after kill -CONT ${shimPids.join(' ')}${look}`;
    case 'shim-unreachable':
      return `look at its shim${look}; ${again} when it has ended or answers`;
    case 'no-container':
      return `record the container again, or stop it through its shim and end the shim; then ${again}`;
    case 'shim-shared':
      return `${again} when the bundles that share the shim are gone`;
    case 'task-disputed':
    case 'leftover-in-use':
      return `look at these processes${look}; when they have ended, ${again}`;
    case 'processes-unknown':
      return isViewLimited
        ? `${again} with CAP_SYS_PTRACE, in the pid and mount namespaces of the shims, where every process can be seen`
        : `see what each source says: ${explain}`;
    case 'bundle-unreadable':
      return `look at the bundle; when its files can be read, ${again}`;
    case 'address-unknown':
      return `a daemon that can dial this address may take the shim back; or see that the shim has ended, and remove the bundle by hand`;
    case 'not-a-bundle':
      return 'check --state; a directory that is not a bundle is yours to remove';
    case 'would-kill':
      return 'stop its container first, or run the same command with --allow-killing; for a saved plan, save it anew with plan --allow-killing --out FILE';
    case 'container-unanswered':
      return `${again} when the store answers`;
    case 'out-of-resources':
      return `${again} with more file descriptors (ulimit -n) or memory`;
    case 'plan-stale':
    case 'not-planned':
      return 'look at it with shim-recovery plan --out FILE, and carry that plan out';
    case 'not-probed':
    case 'interrupted':
      return again;
    default:
      return undefined;
  }
};
