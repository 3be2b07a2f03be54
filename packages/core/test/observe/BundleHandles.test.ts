import * as fc from 'fast-check';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { makeNamespaces, type Namespaces } from '../../src/observe/BundleHandles.js';
import * as B from '../../src/base/ByteString.js';
import type { Directory } from '../../src/capabilities/FileSystem.js';

const state: Directory = { path: B.fromText('/state') };
const names = Array.from({ length: 20 }, (_, index) => B.fromText(`ns${index}`));

/** A file system of which every answer comes when the scheduler says so. */
const scheduled = (scheduler: fc.Scheduler) => {
  const open = new Set<Directory>();
  let openings = 0;
  const files = {
    openDirectory:
      ({ name }: { readonly name: B.ByteString }) =>
      async () => {
        await scheduler.schedule(Promise.resolve());
        openings++;
        const opened: Directory = { path: name };
        open.add(opened);
        return E.right(opened);
      },
    close: (directory: Directory) => async () => {
      await scheduler.schedule(Promise.resolve());
      expect(open.delete(directory)).toBe(true);
    },
    list: () => async () => E.right([]),
  };
  return { files, open, openings: () => openings };
};

const use = (namespaces: Namespaces, name: B.ByteString, step: (directory: Directory) => Promise<void>) =>
  namespaces.use(name)((directory) => async () => {
    await step(directory);
    return E.right(undefined);
  })();

describe('the directories of namespaces', () => {
  it('are open while they are used, and closed once, whatever comes between', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.oneof(fc.constant('close' as const), fc.nat({ max: names.length - 1 })), { maxLength: 60 }),
        async (scheduler, moves) => {
          const { files, open, openings } = scheduled(scheduler);
          const namespaces = makeNamespaces(files, state);
          const used = moves.map(async (move) => {
            await scheduler.schedule(Promise.resolve());
            if (move === 'close') return namespaces.closeIdle();
            await use(namespaces, names[move] ?? names[0] ?? state.path, async (directory) => {
              expect(open.has(directory)).toBe(true);
              await scheduler.schedule(Promise.resolve());
              expect(open.has(directory)).toBe(true);
            });
          });
          await scheduler.waitFor(Promise.all(used));
          await scheduler.waitFor(namespaces.closeIdle());
          expect(open.size).toBe(0);
          expect(openings()).toBeLessThanOrEqual(moves.length);
        },
      ),
    );
  });

  it.each(Array.from({ length: 12 }, (_, turn) => turn))(
    'are not opened and closed in turn for ever by one who needs them and one who tidies up %i turns later',
    async (later) => {
      let openings = 0;
      const namespaces = makeNamespaces(
        {
          openDirectory:
            ({ directory, name }) =>
            async () =>
              ++openings > 100 ? E.left({ _tag: 'Replaced', path: name }) : E.right(directory),
          close: () => async () => undefined,
          list: () => async () => E.right([]),
        },
        state,
      );
      const tidied = async (): Promise<void> => {
        for (let turn = 0; turn < later; turn++) await Promise.resolve();
        await namespaces.closeIdle();
      };
      const used = use(namespaces, B.fromText('ns'), async () => undefined);
      await tidied();
      await used;
      expect(openings).toBe(1);
    },
  );
});
