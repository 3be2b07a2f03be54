/** For readers and writers of documents: reports, saved plans, recordings, comparisons, explanations. */
export { type Approval, everything } from './apply/Approval.js';

export {
  allDifferences,
  type BundleDifference,
  compare,
  Comparison,
  type Difference,
  differs,
  isRemoved,
  type WorkDirectoryDifference,
} from './documents/Comparison.js';

export {
  explainBundle,
  type ExplainedPath,
  type ExplainedSource,
  type ExplainedStep,
  Explanation,
  type ExplanationRow,
} from './documents/Explanation.js';

export {
  factsOf,
  type Head,
  headOf,
  parseRecording,
  type Recording,
  showRecordingError,
  startRecording,
} from './documents/Recording.js';

export { replay, showReplayError, surveyedPolicy } from './documents/Replay.js';

export {
  allowsKilling,
  encodeSavedPlan,
  parseSavedPlan,
  policyOf,
  SavedPlan,
  savedPlanOf,
  showSavedPlanError,
} from './documents/SavedPlan.js';

export { evidenceFor, type HostFacts, planOf } from './plan/HostFacts.js';

export { asPlanned } from './recovery/ApprovedPlan.js';

export { refuseTooMuch } from './recovery/DestroyLimit.js';

export {
  BundleReport,
  changesSomething,
  losesLife,
  makeReport,
  type NamespaceReport,
  Report,
  type StepReport,
  type Understanding,
  type VerdictName,
  verdictWords,
  type WorkDirectoryReport,
} from './report/Report.js';
