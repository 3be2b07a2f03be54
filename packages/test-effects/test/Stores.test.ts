import { ByteString as B } from '@shim-recovery/core';
import { describe, expect, it } from 'vitest';
import { makeStores } from '../src/memory/MemoryStores.js';

const key = (namespace: string, id: string) => ({ namespace: B.fromText(namespace), id: B.fromText(id) });

describe('stores in memory', () => {
  it('know what was put in, by namespace and id, and nothing else', async () => {
    const stores = makeStores();
    stores.putContainer(key('main', 'web'), B.fromText('io.containerd.runc.v2'));
    stores.putSandbox(key('main', 'pod'));
    expect(await stores.containerStore.container(key('main', 'web'))()).toEqual({
      _tag: 'Found',
      value: { runtimeName: 'io.containerd.runc.v2' },
    });
    expect(await stores.containerStore.container(key('other', 'web'))()).toEqual({ _tag: 'NotFound' });
    expect(await stores.sandboxStore.sandbox(key('main', 'pod'))()).toMatchObject({ _tag: 'Found' });
    expect(await stores.sandboxStore.sandbox(key('main', 'web'))()).toEqual({ _tag: 'NotFound' });
  });

  it('that cannot answer say so, and never that there is nothing', async () => {
    const stores = makeStores();
    const error = { _tag: 'StoreUnavailable', reason: 'locked' } as const;
    stores.failContainer(key('main', 'web'), error);
    stores.failSandbox(key('main', 'web'), error);
    expect(await stores.containerStore.container(key('main', 'web'))()).toEqual({ _tag: 'Unknown', error });
    expect(await stores.sandboxStore.sandbox(key('main', 'web'))()).toEqual({ _tag: 'Unknown', error });
  });
});
