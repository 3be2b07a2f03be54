/** What the end-to-end tests stand on: a host of which containerd was killed, with containers to which something happened. */
import { type ChildProcess, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { command } from './command.js';
import { type Container, type Host, kill, makeHost, missing, mountsBelow } from './containerd.js';

const because = missing();
const isRequired = process.env['SHIM_RECOVERY_REQUIRE_E2E'] === '1';

const patienceMs = 60_000;

export interface KilledHost {
  readonly host: () => Host;
  /** A container, as it was before its daemon was killed. */
  readonly of: (id: string) => Container;
  /** Which of its directories still stand. */
  readonly left: (id: string) => ReadonlyArray<string>;
  /** Whether something is still mounted in its bundle. */
  readonly mounted: (id: string) => boolean;
}

/** One after the other: each test goes on from where the one before ended. Skipped, with its reason, where it cannot run. */
export const step = (name: string, body: () => Promise<void>): void =>
  it(name, async (context) => (because === undefined ? body() : context.skip(because)), patienceMs);

/**
 * Within a `describe`: makes the host before its tests, and takes it away after them. Files of tests run beside each other, and
 * a control group is found by the id, also as one of its words: each file has ids of its own, each one word.
 */
export const killedHost = (
  ids: ReadonlyArray<string>,
  happen: (of: KilledHost['of']) => Promise<void> | void,
): KilledHost => {
  let made: Host | undefined;
  const containers = new Map<string, Container>();
  const of = (id: string): Container => containers.get(id) ?? expect.fail(`no container ${id}`);
  const host = (): Host => made ?? expect.fail('no host');

  beforeAll(async () => {
    if (because !== undefined) {
      if (isRequired) throw new Error(because);
      return;
    }
    made = await makeHost();
    await made.start();
    for (const id of ids) containers.set(id, await made.runContainer(id));
    await made.killDaemon();
    await happen(of);
  }, patienceMs);

  afterAll(async () => {
    await made?.cleanUp();
  }, patienceMs);

  return {
    host,
    of,
    left: (id) => [of(id).bundle, of(id).workDirectory].filter((directory) => fs.existsSync(directory)),
    mounted: (id) => mountsBelow(host().base).some((point) => point.startsWith(`${of(id).bundle}/`)),
  };
};

/** Its shim was killed, and its process, too. */
export const killBoth = async ({ shimPid, taskPid }: Container): Promise<void> => {
  await kill(shimPid);
  await kill(taskPid);
};

export interface Watching {
  /** Every line that it printed, as JSON. */
  readonly lines: ReadonlyArray<Readonly<Record<string, unknown>>>;
  /** All that it said on stderr. */
  readonly said: () => string;
  /** Tells it to end; its exit code. */
  readonly end: () => Promise<number | null>;
}

/** `recover --watch --json` while `use` goes on; killed if that leaves it behind. */
export const watching = async (
  { state, root, socket }: Host,
  args: ReadonlyArray<string>,
  use: (watching: Watching) => Promise<void>,
): Promise<void> => {
  const where = ['--state', state, '--root', root, '--address', socket];
  const child: ChildProcess = spawn(process.execPath, [command, 'recover', '--watch', '--json', ...args, ...where], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const lines: Array<Record<string, unknown>> = [];
  let said = '';
  try {
    if (child.stdout === null || child.stderr === null) throw new Error('no output');
    createInterface({ input: child.stdout }).on('line', (line) =>
      lines.push(JSON.parse(line) as Record<string, unknown>),
    );
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    await use({
      lines,
      said: () => said,
      end: () => {
        child.kill('SIGTERM');
        return ended;
      },
    });
  } finally {
    child.kill('SIGKILL');
  }
};
