/** What shows the container of an entry, and its shim, from outside. */
import type { Start } from './World.js';

/** The first process of a container. */
export interface FirstProcess {
  readonly pid: number;
  /** When it began, in clock ticks since the kernel was started. */
  readonly startedTicks: number;
}

/** Where a container's processes are, and how `config.json` says so. */
export interface ControlGroup {
  /** The path of each hierarchy. */
  readonly paths: ReadonlyArray<string>;
  readonly cgroupsPath: string;
}

const slice = 'kubepods-pod0f3a.slice';

export const controlGroupOf = (start: Start): ControlGroup => {
  const { ns, id, cgroup = 'usual' } = start;
  const at = (path: string): ControlGroup => ({ paths: [path], cgroupsPath: path });
  switch (cgroup) {
    case 'usual':
      return at(`/${ns}/${id}`);
    case 'kubepods':
      return at(`/kubepods/burstable/pod0f3a/${id}`);
    case 'docker':
      return { paths: ['/', `/docker/${id}`], cgroupsPath: `/docker/${id}` };
    case 'scope':
      return {
        paths: [`/kubepods.slice/${slice}/cri-containerd-${id}.scope`],
        cgroupsPath: `${slice}:cri-containerd:${id}`,
      };
    case 'colons':
      return { paths: [`/${slice}:cri-containerd:${id}`], cgroupsPath: `${slice}:cri-containerd:${id}` };
    case 'named':
      return at(`/machine/${nameApart(start)}`);
    case 'none':
      return { paths: ['/'], cgroupsPath: '' };
  }
};

/** A name that holds neither the namespace nor the id as a word. */
const nameApart = ({ ns, id }: Start): string => `workload-${Buffer.from(`${ns}/${id}`).toString('hex')}`;

/** The record that the runtime keeps: the name of its file, and its text. */
export const runtimeRecordOf = (
  start: Start,
  { pid, startedTicks }: FirstProcess,
): { readonly name: string; readonly text: string } | undefined => {
  const { id, runtimeState = 'none' } = start;
  const runc = (record: object): { readonly name: string; readonly text: string } => ({
    name: 'state.json',
    text: JSON.stringify({ id, init_process_pid: pid, ...record }),
  });
  switch (runtimeState) {
    case 'none':
      return undefined;
    case 'right':
      return runc({ init_process_start: startedTicks });
    case 'other-start':
      return runc({ init_process_start: startedTicks + 4_711 });
    case 'no-start':
      return runc({});
    case 'lost':
      return { name: 'state.json', text: '\0'.repeat(64) };
    case 'crun':
      return { name: 'status', text: JSON.stringify({ pid, 'process-start-time': startedTicks }) };
  }
};

/** The name of the program that the shim of an entry was started from: what the bundle or the container's record says. */
export const shimProgramOf = ({ bundle, container = '' }: Start): string => {
  const recorded = typeof bundle === 'object' ? (bundle.files['shim-binary-path'] ?? '') : '';
  const text = /^[ -~]+$/.test(recorded) ? recorded : container;
  const [, name, version] = /^io\.containerd\.([^./]+)\.([^./]+)$/.exec(text) ?? [];
  if (name !== undefined && version !== undefined) return `containerd-shim-${name}-${version}`;
  const last = text.slice(text.lastIndexOf('/') + 1);
  return last === '' ? usualProgram : last;
};

const usualProgram = 'shim-ok';
