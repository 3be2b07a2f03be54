import type { Report } from '@shim-recovery/core/documents';
import { type Property, type Violations, violation } from './Property.js';

/** Those shims stay connected without being registered, so that their end is noticed. */
const refusedDeletions = (report: Report): number =>
  report.namespaces
    .flatMap(({ bundles }) => bundles)
    .filter(({ steps }) => steps.some(({ step, outcome }) => step === 'call-delete' && outcome === 'failed')).length;

export const connections: Property = {
  number: 6,
  name: 'connections',
  statement:
    'Registered exactly when connected: no adopted shim without a live connection, no open connection without an owner.',
  isCostly: false,
  check: async ({ simulated: { runs } }) =>
    runs.flatMap(({ ending }, index): Violations => {
      if (ending._tag !== 'Ended') return [];
      const { registered, connections: open, leaked } = ending.hold;
      const most = registered + refusedDeletions(ending.report);
      const isInOrder = open >= registered && open <= most;
      return [
        ...(isInOrder ? [] : [violation(`run ${index} has ${open} connections and ${registered} registered tasks`)]),
        ...Object.entries(leaked)
          .filter(([, count]) => count !== 0)
          .map(([what, count]) => violation(`run ${index} did not close ${count} ${what}`)),
      ];
    }),
};
