/** The commands and their options. Each command's code is loaded when it runs. */
import { createRequire } from 'node:module';
import { Command } from 'commander';
import { HOST_NAMES } from '../../boot-protocols/hosts/host.ts';
import type { StopOn } from '../../emulator/run-options.ts';
import type { EngineName } from '../../emulator/unicorn/api.ts';
import type { Syntax } from '../report/disassemble.ts';
import type { Io } from './io.ts';
import { LOG_LEVELS, type LogLevel } from './log.ts';
import { formatOption, option, words } from './options/option.ts';
import { imageOptions, knobOptions } from './options/start.ts';
import {
  parseChoice,
  parseInstructions,
  parseSeconds,
  parseTarget,
  parseTraceFile,
  parseTraps,
} from './parse.ts';

const ENGINES = words<'auto' | EngineName>('auto', 'unicorn.js', 'libunicorn');
const STOP_ON = words<StopOn>('fault', 'loss', 'sensitive');
const HOSTS = words(...HOST_NAMES);
const SYNTAXES = words<Syntax>('att', 'intel');
const WRAP_CODECS = words<'none' | 'gzip'>('none', 'gzip');
const NOTES = words<'keep' | 'drop'>('keep', 'drop');
const LEVELS = words<LogLevel>(...LOG_LEVELS);
const IMAGE_ARGUMENT = 'an ELF vmlinux or a bzImage';

const EXIT_CODES = `
Exit codes:
    0  stopped and reported: any trap, hypercall, halt, --until
    2  the command line is wrong
    3  this image cannot be run, or not this way
    4  trouble with the engine, the host or startup32 itself
    6  the kernel died: shutdown (triple fault)
    7  the instructions, the time or the traps to spend were spent
  130  interrupted`;

/** @param exit receives the exit code of a command that ran. */
export function createProgram(io: Io, exit: (code: number) => void): Command {
  const { version } = createRequire(import.meta.url)('startup32/package.json') as { version: string };
  const program = new Command('startup32')
    .description(
      'Start a 32-bit x86 kernel as a loader or hypervisor would, and see what traps first, and why',
    )
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: text => io.stdout.write(text),
      writeErr: text => io.stderr.write(text),
      // `main` writes every error in one form.
      outputError: () => {},
    });

  runOptions(
    program
      .command('run')
      .description('run an image to its first stop, or through all its traps, and report it')
      .argument('<image>', IMAGE_ARGUMENT),
  )
    .addHelpText('after', EXIT_CODES)
    .action(async (image: string, options) => {
      const { run } = await import('./run/run.ts');
      exit(await run(image, options, io));
    });

  stateOptions(
    program
      .command('state')
      .description('show the state in which a protocol starts an image, before anything runs')
      .argument('[image]', IMAGE_ARGUMENT),
  ).action(async (image: string | undefined, options) => {
    const { state } = await import('./state/state.ts');
    exit(await state(image, options, io));
  });

  imageOptions(
    program
      .command('inspect')
      .description('show what an image says about itself, and which protocols can start it')
      .argument('<image>', IMAGE_ARGUMENT),
  )
    .addOption(formatOption())
    .action(async (image: string, options) => {
      const { inspect } = await import('./inspect.ts');
      exit(await inspect(image, options, io));
    });

  program
    .command('wrap')
    .description('make a bzImage of an ELF kernel: setup code, a stub that unpacks it, and the kernel')
    .argument('<kernel>', 'an ELF vmlinux')
    .option('-o, --output <file>', 'the bzImage to write')
    .option('--elf-header', 'put an ELF header in front, whose entry is the 32-bit entry')
    .option('--munge-magic', 'put one there with a changed magic, which loaders do not take for an ELF file')
    .addOption(
      option(
        '--compress <codec>',
        'none or gzip: how the kernel is packed (default: gzip)',
        parseChoice(WRAP_CODECS),
      ),
    )
    .option(
      '--payload <file>',
      'the kernel as bzip2, lzma, xz, lzop, lz4 -l, zstd or gzip has compressed it; only of gzip the stub can unpack it',
    )
    .addOption(
      option(
        '--notes <what>',
        "keep: the ELF header in front has the kernel's notes too (default: drop)",
        parseChoice(NOTES),
      ),
    )
    .action(async (kernel: string, options) => {
      const { wrap } = await import('./wrap.ts');
      exit(await wrap(kernel, options, io));
    });

  program
    .command('protocols')
    .description('list the boot protocols and their knobs')
    .addOption(formatOption())
    .action(async options => {
      const { protocols } = await import('./protocols.ts');
      exit(await protocols(options, io));
    });

  program
    .command('explain')
    .description('show the privilege rule of an instruction, and what Xen, lguest and a monitor make of it')
    .argument('[instruction...]', 'a name (cli, "mov %eax,%cr0") or hex bytes (0f0115)')
    .option('--all', 'every rule')
    .addOption(formatOption())
    .action(async (words: readonly string[], options) => {
      const { explain } = await import('./explain.ts');
      exit(await explain(words, options, io));
    });

  return program;
}

/** A protocol and its knobs: the options of every command that makes an EntryState. */
const startOptions = (command: Command): Command =>
  knobOptions(
    imageOptions(command.option('--as <protocol>', 'the boot protocol (startup32 protocols lists them)')),
  );

const stateOptions = (command: Command): Command =>
  startOptions(command)
    .optionsGroup('The state:')
    .option(
      '--diff <protocols...>',
      'compare two protocols instead: --diff A B, each with knobs of its own in quotes, e.g. "pc --ring 1"',
    )
    .option('--write <directory>', 'write each memory region to a file there, and an index, regions.json')
    .option('--all', 'in the text: fields that no one wrote too')
    .addOption(formatOption());

function runOptions(command: Command): Command {
  return startOptions(command)
    .optionsGroup('The run:')
    .addOption(
      option(
        '--until <place>',
        'stop before SYMBOL, SYMBOL+0xOFFSET or 0xADDRESS; payload: where the stub of a bzImage hands over to the kernel proper',
        parseTarget,
      ),
    )
    .addOption(
      option(
        '--stop-on <what>',
        'fault: only faults; loss: popf and iret that lose flags too; sensitive: the first silent instruction outside ring 0 too (default: loss; with --all-traps fault)',
        parseChoice(STOP_ON),
      ),
    )
    .addOption(
      option(
        '-n, --instructions <number>',
        'instructions to run at most, or unlimited (default: 50 million; with --until payload unlimited)',
        parseInstructions,
      ),
    )
    .addOption(option('--timeout <seconds>', 'wall-clock time to spend (default: none)', parseSeconds))
    .optionsGroup('Beyond the first trap:')
    .option('--all-traps', 'answer every trap as a host would, go on, and list all of them')
    .addOption(
      option(
        '--answer <host>',
        `who answers: ${HOST_NAMES.join(', ')}; skip steps over it, monitor is a classic trap-and-emulate monitor (default: the host of the protocol, or skip)`,
        parseChoice(HOSTS),
      ),
    )
    .addOption(
      option('--max-traps <number>', 'traps to answer at most, or unlimited (default: 10000)', parseTraps),
    )
    .optionsGroup('The engine:')
    .addOption(
      option('--engine <name>', 'auto, unicorn.js or libunicorn (default: auto)', parseChoice(ENGINES)),
    )
    .option('--libunicorn <path>', 'the native library')
    .optionsGroup('The report:')
    .addOption(formatOption())
    .addOption(option('--syntax <syntax>', 'att or intel', parseChoice(SYNTAXES)).default('att'))
    .option('--serial', "the kernel's serial output: live on stderr, and in the report")
    .addOption(
      option('--trace <file>', 'write the way of the run to a file, a line an event', parseTraceFile),
    )
    .option('--trace-hash', 'a hash of the way of the run, in the report')
    .addOption(
      option('--log-level <level>', `logs on stderr: ${LOG_LEVELS.join(', ')}`, parseChoice(LEVELS)),
    );
}
