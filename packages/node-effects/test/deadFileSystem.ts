/** File systems that never answer whoever asks them anything: here of FUSE, with nobody behind them. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { expect } from 'vitest';
import { eventually, isRoot } from './temporary.js';

/** Why there are none here, or undefined where there can be. */
export const needsFuse = isRoot && fs.existsSync('/dev/fuse') ? undefined : 'needs root, and FUSE';

/** Nobody who removes what is below is kept waiting any more. */
export const takeAway = (behind: ChildProcess, directories: ReadonlyArray<string>): void => {
  behind.kill('SIGKILL');
  for (const directory of directories) spawnSync('umount', ['--lazy', directory]);
};

/** In Python: mounts one of FUSE on a directory, and gives what it is answered through. */
const mount = `
import ctypes, os, struct, sys
library = ctypes.CDLL(None, use_errno=True)
def mount(directory, owner=0):
    device = os.open('/dev/fuse', os.O_RDWR)
    options = 'fd=%d,rootmode=40000,user_id=%d,group_id=%d' % (device, owner, owner)
    if library.mount(b'test', os.fsencode(directory), b'fuse.test', 0, options.encode()):
        sys.exit(os.strerror(ctypes.get_errno()))
    return device
`;

/** Mounts one on each directory; they stay silent until it ends, and then they answer that nobody is there. */
export const mountDead = async (directories: ReadonlyArray<string>): Promise<ChildProcess> => {
  const script = `${mount}
for directory in sys.argv[1:]:
    mount(directory)
print('mounted', flush=True)
sys.stdin.read()`;
  return startMounting(script, directories, directories);
};

/** Starts what says when all is mounted. */
const startMounting = async (
  script: string,
  args: ReadonlyArray<string>,
  directories: ReadonlyArray<string>,
): Promise<ChildProcess> => {
  const child = spawn('python3', ['-c', script, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  let told = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (told += text));
  child.once('error', (error) => (told = `${error.message}\n`));
  child.once('exit', (code) => (told ||= `ended with ${String(code)}\n`));
  try {
    await eventually('them to be mounted', () => told.endsWith('\n'));
    expect(told).toBe('mounted\n');
  } catch (error) {
    takeAway(child, directories);
    throw error;
  }
  return child;
};

/** One with a directory in it that answers its owner until it is stopped (`SIGSTOP`), and asked for each name anew. */
export const mountStoppable = async (directory: string, name: string, owner = 0): Promise<ChildProcess> => {
  const script = `${mount}
device = mount(sys.argv[1], int(sys.argv[3]))
print('mounted', flush=True)
name = os.fsencode(sys.argv[2])
attributes = lambda node: struct.pack('<6Q10I', node, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
LOOKUP, FORGET, GETATTR, STATFS, INIT, BATCH_FORGET = 1, 2, 3, 17, 26, 42
ENOENT, ENOSYS = 2, 38
while True:
    request = os.read(device, 1 << 20)
    _, call, unique, node = struct.unpack('<IIQQ', request[:24])
    error, answer = 0, b''
    if call == INIT:
        answer = struct.pack('<4I2H2I2H8I', 7, 31, 1 << 16, 0, 0, 0, 1 << 16, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    elif call == LOOKUP and request[40:].rstrip(b'\\0') == name:
        answer = struct.pack('<4Q2I', 2, 0, 0, 0, 0, 0) + attributes(2)
    elif call == LOOKUP:
        error = -ENOENT
    elif call == GETATTR:
        answer = struct.pack('<Q2I', 0, 0, 0) + attributes(node)
    elif call == STATFS:
        answer = bytes(80)
    elif call in (FORGET, BATCH_FORGET):
        continue
    else:
        error = -ENOSYS
    os.write(device, struct.pack('<IiQ', 16 + len(answer), error, unique) + answer)`;
  return startMounting(script, [directory, name, String(owner)], [directory]);
};
