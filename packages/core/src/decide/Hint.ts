/** What to do about a bundle that is held: a hint for the operator. Nothing acts on such a bundle by itself. */
import * as B from '../base/ByteString.js';
import { belongingPids, type BundleEvidence, isViewLimited, programOf, shimPidsOf } from './Evidence.js';
import type { Reason } from './Verdict.js';

/**
 * A sentence with the command that would act on a bundle that the policy of this name holds; undefined for what is not held.
 * Another policy might destroy it.
 */
export const hintFor = (reason: Reason, policy: string, evidence: BundleEvidence): string | undefined => {
  const [namespace, id] = [B.show(evidence.namespace), B.show(evidence.id)];
  const pids = belongingPids(evidence.answers);
  const shimPids = shimPidsOf(evidence.answers);
  const again = `run shim-recovery recover --policy ${policy} again`;
  const look = pids.length === 0 ? '' : ` (ps -fp ${pids.join(',')})`;
  const explain = `shim-recovery explain --policy ${policy} ${namespace}/${id}`;
  switch (reason) {
    case 'orphan-workload':
      if (programOf(evidence) === undefined)
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
      return isViewLimited(evidence.answers)
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
