import { defineConfig } from 'vitest/config';
import { PlainReporter } from './tooling/plainReporter.ts';

// Tests read the sources of the sibling packages, so that no build can be stale.
const conditions = ['@shim-recovery/source', 'module', 'node', 'development|production'];

const project = (name: string) => ({
  extends: true as const,
  test: { name, include: [`packages/${name}/test/**/*.test.ts`] },
});

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    maxWorkers: '100%',
    // Shared machines stall for seconds at a time.
    testTimeout: 60_000,
    projects: ['core', 'node-effects', 'test-effects'].map(project),
    reporters: ['default', new PlainReporter()],
    coverage: { provider: 'v8', include: ['packages/*/src/**/*.ts'], exclude: ['**/gen/**'] },
  },
});
