/** The state directory and the root directory of a daemon, open. */
import * as E from 'fp-ts/lib/Either.js';
import type * as T from 'fp-ts/lib/Task.js';
import type * as TE from 'fp-ts/lib/TaskEither.js';
import { makeNamespaces, type Namespaces } from '../observe/BundleHandles.js';
import type { Capabilities } from '../observe/Capabilities.js';
import type { Directory } from '../capabilities/FileSystem.js';
import type { RecoveryError } from './RecoveryError.js';
import type { Settings } from '../policy/Settings.js';

/** The two root directories, open. */
export interface Roots {
  readonly state: Directory;
  readonly root: Directory;
  /** Those below the state directory. */
  readonly namespaces: Namespaces;
}

/** Opens both root directories, or neither. */
export const openRoots =
  ({ fileSystem }: Capabilities, settings: Settings): TE.TaskEither<RecoveryError, Roots> =>
  async () => {
    const state = await fileSystem.openPath(settings.state)();
    if (E.isLeft(state)) return E.left({ _tag: 'StateUnreadable', error: state.left });
    const root = await fileSystem.openPath(settings.root)();
    if (E.isRight(root))
      return E.right({ state: state.right, root: root.right, namespaces: makeNamespaces(fileSystem, state.right) });
    await fileSystem.close(state.right)();
    return E.left({ _tag: 'RootUnreadable', error: root.left });
  };

export const closeRoots =
  ({ fileSystem }: Capabilities, { state, root, namespaces }: Roots): T.Task<void> =>
  async () => {
    await namespaces.closeIdle();
    await fileSystem.close(state)();
    await fileSystem.close(root)();
  };
