/** How the command ends, as its help says. */
export const exitCode = {
  done: 0,
  couldNotRun: 1,
  badUsage: 2,
  somethingElse: 3,
  /** Something that lives would be destroyed, was destroyed, or was held for that. */
  aliveDestroyed: 4,
} as const;
