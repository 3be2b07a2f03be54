/** The options that a saved plan settles: written down when it is made, and meant again when it is carried out. */
import { ByteString as B } from '@shim-recovery/core';
import { allowsKilling, policyOf, type SavedPlan } from '@shim-recovery/core/documents';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import type { UnderstoodHost } from './HostDirectories.js';
import {
  type HostOptions,
  type OwnOptions,
  parseHost,
  type StoreChoice,
  usage,
  type UsageError,
} from '../arguments/Options.js';

/** What of the options a saved plan has to say, beside its directories, its policy and its namespaces. */
export const optionsToSave = (host: UnderstoodHost): Readonly<Record<string, string>> => ({
  store: showStore(host.store),
  address: host.address,
  'ttrpc-address': host.ttrpcAddress,
  'publish-binary': host.publishBinary,
  path: host.programPath.path,
  'path-from': host.programPath.from,
  ...(host.isDebug ? { debug: '' } : {}),
});

/** As it is typed. */
const showStore = (store: StoreChoice): string => {
  switch (store._tag) {
    case 'Bolt':
      return `bolt:${store.path}`;
    case 'Containerd':
      return `containerd:${store.socketPath}`;
    case 'Json':
      return `json:${store.path}`;
    case 'None':
      return 'none';
  }
};

/** The options that a plan was made with, and those of the one who carries it out. */
export const hostOfPlan =
  (own: OwnOptions) =>
  (saved: SavedPlan): E.Either<UsageError, HostOptions> => {
    const {
      store,
      address,
      'ttrpc-address': ttrpcAddress,
      'publish-binary': publishBinary,
      path,
      debug,
    } = saved.options;
    const from = saved.options['path-from'] ?? 'the saved plan';
    const missing = [
      ['store', store],
      ['address', address],
      ['ttrpc-address', ttrpcAddress],
      ['publish-binary', publishBinary],
    ].find(([, value]) => value === undefined);
    if (missing !== undefined) return usage(`it does not say --${missing[0]}, so that it was not made by plan --out`);
    const { state, root } = saved.plan;
    return pipe(
      parseHost({
        state: B.toText(state),
        root: B.toText(root),
        namespace: saved.namespaces.map(B.toText),
        store,
        address,
        'ttrpc-address': ttrpcAddress,
        'publish-binary': publishBinary,
        ...(debug === undefined ? {} : { debug: true }),
      }),
      E.map((host) => ({
        ...host,
        ...own,
        policy: policyOf(saved),
        allowKilling: allowsKilling(saved),
        // Plans of the first version do not say it.
        programPath: path === undefined ? undefined : { path, from },
      })),
    );
  };
