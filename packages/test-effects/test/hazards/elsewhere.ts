/** The hazards that no simulated world can show: the test that shows what becomes of them, or why nothing can. */

export interface ShownBy {
  readonly what: string;
  /** From the top of the project. */
  readonly file: string;
  readonly test: string;
}

export const shownBy: Readonly<Record<string, ShownBy>> = {
  H13: {
    what: 'policies that compare paths as they are written keep such a bundle; `careful` asks for the real path',
    file: 'packages/test-effects/test/Recovery.test.ts',
    test: 'keeps 1.7 from unmounting, so that its bundles stay (H13)',
  },
  H16: {
    what: 'no policy waits longer than its deadline',
    file: 'packages/node-effects/test/ShimBinary.test.ts',
    test: 'is not waited for longer because a grandchild holds its pipes, which is killed (H16)',
  },
  H29: {
    what: 'an empty answer is taken, by every policy, as the reference takes it',
    file: 'packages/node-effects/test/ShimBinary.test.ts',
    test: 'answers with what it prints; nothing is a valid answer (H29)',
  },
  H31: {
    what: 'every policy searches in the order of the reference, and looks again in every run',
    file: 'packages/core/test/policy/ShimProgram.test.ts',
    test: 'looks in the working directory, then along PATH for what can be run, then beside the daemon',
  },
  H32: {
    what: '`containerd-1.6` alone has it',
    file: 'packages/core/test/policy/ShimProgram.test.ts',
    test: 'checks no name for 1.6, which takes any with a slash from the working directory (H32)',
  },
  H33: {
    what: 'a locked store is an error at once, and names who holds it',
    file: 'packages/node-effects/test/bolt/MetadataStore.test.ts',
    test: 'that a daemon holds is locked, and the daemon named',
  },
  H39: {
    what: 'one odd line of the mount table fails each removal, as in the reference; nothing is removed unseen',
    file: 'packages/test-effects/test/Mounts.test.ts',
    test: 'become unreadable by one odd line (H39)',
  },
};

export const outOfReach: Readonly<Record<string, string>> = {
  H27: 'closed under every policy: the registry knows instances, not ids, so that there is no call that could do it',
  H34: 'closed under every policy: no vsock address is dialled, and every other dial has the deadline of the load',
  H35: 'one state directory is recovered in a run; the old tree of 1.x tasks is not read',
  H36: 'the sockets lie outside the directories that a recovery may touch',
  H37: 'a defect of the shim at its next start, which no loader takes part in',
  H40: 'a loss of power is not simulated; `bootstrap.json` is written and synchronised before it is put in place',
};
