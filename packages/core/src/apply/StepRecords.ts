/** What became of the steps of each bundle, gathered while they are taken. */
import type { BundleEvidence } from '../decide/Evidence.js';
import { keyOf } from '../policy/Names.js';
import type { StepReport } from '../report/Report.js';

/** What became of each bundle's steps, gathered while they are taken. */
export interface StepRecords {
  readonly of: (evidence: BundleEvidence) => Array<StepReport>;
}

export const makeStepRecords = (): StepRecords => {
  const records = new Map<string, Array<StepReport>>();
  return {
    of: (evidence) => {
      const key = keyOf(evidence);
      const list = records.get(key) ?? [];
      records.set(key, list);
      return list;
    },
  };
};
