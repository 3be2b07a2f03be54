/** What to do about a bundle that is held: nothing acts on it by itself. */
import type { Reason } from './Verdict.js';

/** With the policy that held it: another one might destroy it. */
const againAs = (policy: string): string => `run shim-recovery recover --policy ${policy} again`;

/** A sentence with the command that would act on it; undefined for what is not held. */
export const adviceOn = (
  reason: Reason,
  { policy, namespace }: { readonly policy: string; readonly namespace: string },
): string | undefined => {
  const again = againAs(policy);
  switch (reason) {
    case 'orphan-workload':
      return `to end the container and clean up: shim-recovery recover --policy careful --orphans reap --namespace ${namespace}, with the other options as they were; every orphan of that namespace is ended`;
    case 'shim-unresponsive':
      return `${again} when the shim answers (a stopped one goes on after kill -CONT), or after ending it`;
    case 'shim-unreachable':
      return `${again} as root, if only root may reach it; or end its shim first`;
    case 'no-container':
      return `record the container again, or stop it through its shim and end the shim; then ${again}`;
    case 'shim-shared':
      return `${again} when the others that need the shim are gone`;
    case 'task-disputed':
    case 'leftover-in-use':
      return `look at these processes; when they have ended, ${again}`;
    case 'processes-unknown':
      return `${again} where /proc shows the processes of the host`;
    case 'bundle-unreadable':
    case 'address-unknown':
      return `mend or replace that file, then ${again}`;
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
