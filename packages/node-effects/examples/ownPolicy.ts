import { Policy, type Settings } from '@shim-recovery/core';

/** containerd 2.1, but sparing: a shim that merely fails to list its processes is kept, and so is what resists clean-up. */
export const sparing: Policy.Policy = {
  ...Policy.containerd21,
  failedPidsCountAsNone: false,
  removesAfterFailedCleanUp: 'none',
};

export const sparingly = (settings: Settings.Settings): Settings.Settings => ({ ...settings, policy: sparing });
