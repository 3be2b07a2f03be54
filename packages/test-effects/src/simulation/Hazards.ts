/** The known ways in which daemons lose or destroy something at their start, as far as a property can meet them. */
import * as t from 'io-ts';

/** By the numbers of `docs/reference.md`; `L` and what follows are ours, for what has no number there. */
const sentences = {
  H1: 'the shim did not list its processes, which counted as none',
  H2: 'the task had ended, and how was lost with its shim, which was told to end',
  H4: 'the shim did not answer Connect in time, which counted as its death',
  H5: 'the shim could not be dialled, which counted as its death',
  H8: 'the shim has no program any more, so the bundle was removed without asking it',
  H9: 'nobody knew the runtime of the container, so the bundle was removed without asking its shim',
  H10: 'the program that cleans up failed after the shim had been told to end, and the bundle stays',
  H11: 'it was moved behind a dot, where no later run looks',
  H14: '`rootfs` is a symlink, and what is mounted where it leads was unmounted',
  H18: 'its shim is shared, and was told to end with another task',
  H20: 'the bundle stays but is not registered, so its working directory was removed',
  H22: 'the bundle has no address that could be read, which counted as the death of its shim',
  H24: 'the address is in a form that is not understood, which counted as the death of its shim',
  H26: 'the connection ended, which counted as the death of its shim',
  H30: 'the text of `work` leads elsewhere, and was trusted',
  L1: 'the log could not be opened, which counted as the death of the shim',
  L2: 'the bundle could not be read, so it was removed',
  L3: '`bootstrap.json` could not be written, which counted as the death of the shim',
  L4: 'the program that cleans up failed after the shim of a registered task had ended, and the bundle stays until the next run',
  L5: 'the bundle was empty, so it was removed without looking for its shim',
} as const;

export const Hazard = t.keyof(sentences, 'Hazard');

export type Hazard = t.TypeOf<typeof Hazard>;

export const allHazards: ReadonlyArray<Hazard> = Object.keys(sentences).filter(Hazard.is);

/** What happens, in a sentence. */
export const showHazard = (hazard: Hazard): string => sentences[hazard];
