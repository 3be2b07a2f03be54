/** One recovery in a process that is warm: `node inProcess.js STATE ROOT STORE BUNDLES POLICY`; prints what it cost as JSON. */
import * as fs from 'node:fs';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { linuxCapabilities, linuxSettings, daemonProgramSearch } from '@shim-recovery/node-effects/interpreter';
import { openJsonStore } from '@shim-recovery/node-effects/stores/JsonStore';
import { Recovery } from '@shim-recovery/core';
import { policies, PolicyName } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';

const [state = '', root = '', store = '', bundles = '0', named = ''] = process.argv.slice(2);

const policy = PolicyName.is(named) ? policies[named] : policies['containerd-1.7'];

const opened = openJsonStore(store);

if (E.isLeft(opened)) throw new Error(opened.left);

const publishBinary = '/usr/bin/containerd';

const capabilities = linuxCapabilities({
  store: opened.right,
  daemon: {
    address: '/nowhere/containerd.sock',
    publishBinary,
  },
});

/** How many descriptors this process may have. */
const mostDescriptors = Number(/^Max open files\s+(\d+)/m.exec(fs.readFileSync('/proc/self/limits', 'utf8'))?.[1]);

const settings = {
  ...linuxSettings({ state, root, programSearch: daemonProgramSearch(publishBinary) }),
  policy: { ...policy, mayDestroy: 1 },
  // As a daemon does, unless there are not enough for a connection and a log of each.
  staysAttached: 2 * Number(bundles) + 500 < mostDescriptors,
};

const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();

// It counts from its first tick, which must have come before anything can keep it waiting.
await new Promise((resolve) => setTimeout(resolve, 20));

const cpu = process.cpuUsage();

const started = performance.now();

const outcome = await Recovery.recover(settings, capabilities)();

const ms = performance.now() - started;

const { user, system } = process.cpuUsage(cpu);

await new Promise((resolve) => setTimeout(resolve, 5));
delay.disable();

if (E.isLeft(outcome)) throw new Error(JSON.stringify(outcome.left));

process.stdout.write(
  `${JSON.stringify({ ms, cpuMs: (user + system) / 1_000, loopDelayMs: delay.max / 1e6, peakKiB: process.resourceUsage().maxRSS, summary: outcome.right.report.summary })}\n`,
);

process.exit(0);
