/** The options that say what is started, and as what: those of every command that makes an EntryState. */
import type { Command } from 'commander';
import { NEWEST_LGUEST, OLDEST_LGUEST } from '../../../boot-protocols/lguest/eras.ts';
import type { XenHost } from '../../../boot-protocols/protocol.ts';
import type { Ring } from '../../../emulator/cpu-state.ts';
import type { PagingMode } from '../../../emulator/entry-state.ts';
import { parseAddress, parseChoice, parseEra, parseModule, parseNumber, parseSize } from '../parse.ts';
import { option, repeatedOption, words } from './option.ts';

const RINGS: Readonly<Record<string, Ring>> = { 0: 0, 1: 1, 2: 2, 3: 3 };
const PAGING: Readonly<Record<string, PagingMode>> = { off: 'off', on: '32-bit', pae: 'pae' };
const BITS: Readonly<Record<string, boolean>> = { 0: false, 1: true };
const GDTS = words<'flat' | 'none'>('flat', 'none');
const XEN_HOSTS: Readonly<Record<string, XenHost>> = { 32: 32, 64: 64 };

/** The image's own options. */
export function imageOptions(command: Command): Command {
  return command
    .option('--symbols <file>', 'a System.map whose symbols stand for those of the image')
    .option('--payload', 'the kernel proper inside a bzImage, unpacked here, instead of the code around it')
    .option('--no-cache', 'unpack it again, and keep no copy for the next time');
}

/** The knobs of the protocols; which of them a protocol has, `startup32 protocols` says. */
export function knobOptions(command: Command): Command {
  return command
    .optionsGroup('Knobs of the protocol:')
    .addOption(option('--ring <0..3>', 'the ring that the kernel starts in', parseChoice(RINGS)))
    .addOption(option('--paging <mode>', 'paging at entry: off, on or pae', parseChoice(PAGING)))
    .addOption(option('--gdt <kind>', 'a GDT that segment loads can use: flat or none', parseChoice(GDTS)))
    .addOption(option('--keep-segments <0|1>', 'KEEP_SEGMENTS in loadflags', parseChoice(BITS)))
    .addOption(option('--subarch <number>', 'hardware_subarch in boot_params', parseNumber))
    .addOption(option('--memory <size>', 'RAM, e.g. 64M', parseSize))
    .option('--cmdline <text>', 'the kernel command line')
    .option('--initrd <file>', 'an initial RAM disk')
    .addOption(
      repeatedOption('--module <file[=text]>', 'a file for the kernel, with its command line', parseModule),
    )
    .addOption(option('--load-address <address>', 'where to load a relocatable kernel', parseAddress))
    .addOption(
      option(
        '--era <version>',
        `which lguest: Linux ${OLDEST_LGUEST} to ${NEWEST_LGUEST} (default: ${NEWEST_LGUEST})`,
        parseEra,
      ),
    )
    .addOption(option('--xen-host <32|64>', 'which Xen: a 32-bit or a 64-bit one', parseChoice(XEN_HOSTS)))
    .option('--privileged', 'the domain is dom0')
    .option('--poison', 'fill memory that the protocol does not define with a pattern')
    .option('--cpu <model>', 'the CPU model that the kernel sees (docs/cpu-models.md)');
}
