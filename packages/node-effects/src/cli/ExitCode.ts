/** How the command ends, as its help says. */
export const exitCode = { done: 0, couldNotRun: 1, badUsage: 2, somethingElse: 3 } as const;
