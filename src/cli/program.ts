/** The commands and their options. Each command's code is loaded when it runs. */
import { createRequire } from 'node:module';
import { Command, Option } from 'commander';
import { NEWEST_LGUEST, OLDEST_LGUEST } from '../../boot-protocols/hosts/eras.ts';
import { HOST_NAMES } from '../../boot-protocols/hosts/host.ts';
import type { Ring } from '../../emulator/cpu-state.ts';
import type { PagingMode } from '../../emulator/entry-state.ts';
import type { StopOn } from '../../emulator/run-options.ts';
import type { EngineName } from '../../emulator/unicorn/api.ts';
import type { Syntax } from '../report/disassemble.ts';
import { UsageError } from './errors.ts';
import type { Io } from './io.ts';
import { LOG_LEVELS, type LogLevel } from './log.ts';
import {
  parseAddress,
  parseChoice,
  parseEra,
  parseInstructions,
  parseNumber,
  parseSeconds,
  parseSize,
  parseTarget,
  parseTraceFile,
  parseTraps,
  ValueError,
} from './parse.ts';

const words = <T extends string>(...names: readonly T[]): Readonly<Record<string, T>> =>
  Object.fromEntries(names.map(name => [name, name]));

const RINGS: Readonly<Record<string, Ring>> = { 0: 0, 1: 1, 2: 2, 3: 3 };
const PAGING: Readonly<Record<string, PagingMode>> = { off: 'off', on: '32-bit', pae: 'pae' };
const BITS: Readonly<Record<string, boolean>> = { 0: false, 1: true };
const GDTS = words<'flat' | 'none'>('flat', 'none');
const ENGINES = words<'auto' | EngineName>('auto', 'unicorn.js', 'libunicorn');
const STOP_ON = words<StopOn>('fault', 'loss', 'sensitive');
const HOSTS = words(...HOST_NAMES);
const FORMATS = words<'text' | 'json'>('text', 'json');
const SYNTAXES = words<Syntax>('att', 'intel');
const LEVELS = words<LogLevel>(...LOG_LEVELS);

/** An option whose value is parsed strictly; what cannot be taken is a usage error that names the option. */
function option<T>(flags: string, description: string, parse: (text: string) => T): Option {
  const definition = new Option(flags, description);
  return definition.argParser(text => {
    try {
      return parse(text);
    } catch (error) {
      if (error instanceof ValueError)
        throw new UsageError('bad-value', `${definition.long} is ${error.message}`);
      throw error;
    }
  });
}

const formatOption = (): Option =>
  option('--format <format>', 'text or json', parseChoice(FORMATS)).default('text');

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
      .description('run an image to its first stop, or through all its traps, and report it'),
  )
    .addHelpText('after', EXIT_CODES)
    .action(async (image: string, options) => {
      const { run } = await import('./run.ts');
      exit(await run(image, options, io));
    });

  program
    .command('inspect')
    .description('show what an image says about itself, and which protocols can start it')
    .argument('<image>', 'an ELF vmlinux or a bzImage')
    .option('--symbols <file>', 'a System.map whose symbols stand for those of the image')
    .addOption(formatOption())
    .action(async (image: string, options) => {
      const { inspect } = await import('./inspect.ts');
      exit(await inspect(image, options, io));
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

function runOptions(command: Command): Command {
  return command
    .argument('<image>', 'an ELF vmlinux or a bzImage')
    .option('--as <protocol>', 'the boot protocol (startup32 protocols lists them)')
    .optionsGroup('Knobs of the protocol:')
    .addOption(option('--ring <0..3>', 'the ring that the kernel starts in', parseChoice(RINGS)))
    .addOption(option('--paging <mode>', 'paging at entry: off, on or pae', parseChoice(PAGING)))
    .addOption(option('--gdt <kind>', 'a GDT that segment loads can use: flat or none', parseChoice(GDTS)))
    .addOption(option('--keep-segments <0|1>', 'KEEP_SEGMENTS in loadflags', parseChoice(BITS)))
    .addOption(option('--subarch <number>', 'hardware_subarch in boot_params', parseNumber))
    .addOption(option('--memory <size>', 'RAM, e.g. 64M', parseSize))
    .option('--cmdline <text>', 'the kernel command line')
    .option('--initrd <file>', 'an initial RAM disk')
    .addOption(option('--load-address <address>', 'where to load a relocatable bzImage', parseAddress))
    .option('--poison', 'fill memory that the protocol does not define with a pattern')
    .option('--cpu <model>', 'the CPU model that the kernel sees (docs/cpu-models.md)')
    .optionsGroup('The run:')
    .addOption(option('--until <place>', 'stop before SYMBOL, SYMBOL+0xOFFSET or 0xADDRESS', parseTarget))
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
        'instructions to run at most, or unlimited (default: 50 million)',
        parseInstructions,
      ),
    )
    .addOption(option('--timeout <seconds>', 'wall-clock time to spend (default: none)', parseSeconds))
    .option('--symbols <file>', 'a System.map whose symbols stand for those of the image')
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
      option(
        '--era <version>',
        `which lguest answers: Linux ${OLDEST_LGUEST} to ${NEWEST_LGUEST} (default: ${NEWEST_LGUEST})`,
        parseEra,
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
