/** The command `shim-recovery`. */
import * as E from 'fp-ts/lib/Either.js';
import { isAnythingUnanswered } from '../native/Deadline.js';
import { exitCode } from './ExitCode.js';
import { parseCommandLine } from './arguments/CommandLine.js';
import { helpText } from './arguments/Help.js';
import type { Command } from './arguments/Options.js';
import { processTerminal, type Terminal } from './views/Terminal.js';

/** The package's, when the command was built. */
declare const packageVersion: string;

// What is never finished did not succeed.
process.exitCode = exitCode.couldNotRun;

const start = async (terminal: Terminal): Promise<number> => {
  if (E.isLeft(whereIs)) {
    terminal.say(`shim-recovery: ${whereIs.left}`);
    return exitCode.couldNotRun;
  }
  const command = parseCommandLine(process.argv.slice(2));
  if (E.isLeft(command)) {
    terminal.say(`shim-recovery: ${command.left.message}`);
    return exitCode.badUsage;
  }
  const code = await runCommand(command.right, terminal);
  return code === exitCode.done && terminal.isOutputLost() ? exitCode.couldNotRun : code;
};

const terminal = processTerminal();

/** Paths are typed from where one stands, and that place may be gone. */
const whereIs = E.tryCatch(
  () => process.cwd(),
  () => 'the current directory is gone; change to another one first',
);

/** What a command needs is loaded when it is run: a command's start is waited for. */
const runCommand = async (command: Command, terminal: Terminal): Promise<number> => {
  switch (command._tag) {
    case 'Help':
      await terminal.print(helpText(command.about));
      return exitCode.done;
    case 'Version':
      await terminal.print(`shim-recovery ${packageVersion}\n`);
      return exitCode.done;
    case 'Plan': {
      const { runPlan } = await import('./commands/planCommand.js');
      return runPlan(command.host, terminal, command);
    }
    case 'Recover': {
      const { runRecover } = await import('./commands/recoverCommand.js');
      return runRecover(command.source, terminal, command);
    }
    case 'Replay': {
      const { runReplay } = await import('./commands/replayCommand.js');
      return runReplay(command.replay, terminal);
    }
    case 'Compare': {
      const { runCompare } = await import('./commands/compareCommand.js');
      return runCompare(command.compare, terminal);
    }
    case 'Explain': {
      const { runExplain } = await import('./commands/explainCommand.js');
      return runExplain(command.explain, terminal);
    }
    case 'Demo': {
      const { runDemo } = await import('./commands/demoCommand.js');
      return runDemo(terminal);
    }
  }
};

void start(terminal).then(async (code) => {
  process.exitCode = code;
  if (!isAnythingUnanswered()) return;
  await terminal.said();
  const { exitAtOnce } = await import('../native/Native.js');
  exitAtOnce(code);
});
