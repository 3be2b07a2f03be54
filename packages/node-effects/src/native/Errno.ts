/** The name of the errno that the kernel gave (`ENOENT`, …), from what Node throws; `UNKNOWN` where it gave none. */
export const errnoIn = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code !== ''
    ? error.code
    : 'UNKNOWN';
