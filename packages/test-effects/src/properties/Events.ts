import { ByteString as B } from '@shim-recovery/core';
import { type Property, violation } from './Property.js';

const orders = ['TaskExit', 'TaskDelete', 'TaskExit TaskDelete'];

export const events: Property = {
  number: 7,
  name: 'events',
  statement: 'At most one exit and one deletion per death, in that order, and only for registered tasks.',
  isCostly: false,
  check: async ({ simulated: { runs } }) =>
    runs.flatMap(({ events: published, lost }, index) => {
      const told = new Map<string, ReadonlyArray<string>>();
      for (const { _tag, namespace, id } of published) {
        const key = `${B.show(namespace)}/${B.show(id)}`;
        told.set(key, [...(told.get(key) ?? []), _tag]);
      }
      return Array.from(told).flatMap(([key, tags]) => [
        ...(orders.includes(tags.join(' ')) ? [] : [violation(`run ${index} told of ${key}: ${tags.join(', ')}`)]),
        ...(lost.includes(key) ? [] : [violation(`run ${index} told of ${key}, which was not registered or lives`)]),
      ]);
    }),
};
