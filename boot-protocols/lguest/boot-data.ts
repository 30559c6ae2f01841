/** What the launcher writes into guest memory besides the kernel: lguest.c, main, load_initrd and concat. */
import type { EntryStructure, MemoryRegion } from '../../emulator/entry-state.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';
import type { Knobs } from '../knobs.ts';
import { bootParamsRegion, commandLineRegion, loadflags } from '../linux/boot-data.ts';
import {
  buildBootParams,
  checkCommandLine,
  describeBootParams,
  encodeCommandLine,
} from '../linux/boot-params.ts';
import { initrdRegion } from '../linux/initrd.ts';
import * as layout from '../linux/layout.ts';
import { ProtocolError } from '../protocol.ts';
import { endOf, hex, roundUp } from '../regions.ts';
import { compareVersions, type LguestEra } from './eras.ts';

// Guest-physical memory, in address order.
export const BOOT_PARAMS = 0x0;
const COMMAND_LINE = 0x1000;

/** The launcher copies the command line without a limit; Linux reads this much (COMMAND_LINE_SIZE less the NUL). */
const COMMAND_LINE_LIMIT = 2047;
/** Decompressors ask for it since 2.6.31. */
const KERNEL_ALIGNMENT = 0x1000000;

/** Where the launcher's source stands: 3.0 moved the documentation, 3.4 has the tool. */
const MOVED_IN = '3.0';
const TOOL_SINCE = '3.4';

function launcherSource(version: string): string {
  const folder =
    compareVersions(version, TOOL_SINCE) >= 0
      ? 'tools'
      : compareVersions(version, MOVED_IN) >= 0
        ? 'Documentation/virtual'
        : 'Documentation';
  return `Linux ${version} ${folder}/lguest/lguest.c`;
}

export interface LauncherData {
  readonly regions: readonly MemoryRegion[];
  readonly structure: EntryStructure;
  /** The end of what is free: the initrd, or the end of memory. */
  readonly top: number;
}

/**
 * Nothing is copied from the header of a bzImage: the launcher reads it into memory of its own.
 *
 * @param kernelEnd physical address behind the last part of the kernel
 * @param tablesSize bytes of the page tables that end where the initrd begins
 * @throws {ProtocolError} `cmdline-too-long` (usage), `initrd-too-big`
 */
export function launcherData(
  knobs: Knobs,
  era: LguestEra,
  kernelEnd: number,
  tablesSize: number,
): LauncherData {
  const { initrd, memory, cmdline } = knobs;
  checkCommandLine(cmdline, COMMAND_LINE_LIMIT, 'Linux');
  const words = era.trailingSpace && cmdline !== '' ? `${cmdline} ` : cmdline;
  const commandLine = commandLineRegion(encodeCommandLine(words), COMMAND_LINE);
  const initrdSize = initrd ? roundUp(initrd.length, PAGE_SIZE) : 0;
  if (initrd) checkInitrd(initrd, memory, Math.max(kernelEnd, endOf(commandLine)), tablesSize);
  const top = memory - initrdSize;
  const citation = `${launcherSource(era.version)}, main`;
  const params = buildBootParams({
    ...(era.bootProtocol ? { version: layout.VERSION_2_07 } : {}),
    ...(era.bootProtocol || knobs.keepSegments ? { loadflags: loadflags(knobs.keepSegments, 0) } : {}),
    hardwareSubarch: knobs.subarch,
    ...(era.kernelAlignment ? { kernelAlignment: KERNEL_ALIGNMENT } : {}),
    cmdLinePtr: COMMAND_LINE,
    e820: [{ start: 0, size: memory, type: layout.E820_RAM }],
    // The size is the rounded one: load_initrd returns that.
    ...(initrd ? { typeOfLoader: layout.LOADER_UNDEFINED, initrd: { start: top, size: initrdSize } } : {}),
    ...(era.clears
      ? {
          others: {
            tboot_addr: { value: 0, meaning: 'no tboot' },
            'apm_bios_info.version': { value: 0, meaning: 'no APM' },
          },
        }
      : {}),
  });
  const cited = Object.fromEntries(
    Object.entries(params.written).map(([name, field]) => [name, { ...field, citation }]),
  );
  return {
    regions: [
      bootParamsRegion(params.contents, BOOT_PARAMS),
      commandLine,
      ...(initrd ? [initrdRegion(initrd, top)] : []),
    ],
    structure: describeBootParams({ ...params, written: cited }, BOOT_PARAMS),
    top,
  };
}

/**
 * It goes to the end of memory, the page tables right below it. Where even those have no room there, it is not the initrd
 * that is too big.
 */
function checkInitrd(initrd: Uint8Array, memory: number, lowest: number, tablesSize: number): void {
  const room = memory - tablesSize - roundUp(lowest, PAGE_SIZE);
  if (room < 0 || initrd.length <= room) return;
  const tables = tablesSize === 0 ? '' : `, beside ${tablesSize} bytes of page tables`;
  throw new ProtocolError(
    'initrd-too-big',
    `the initrd is ${initrd.length} bytes long; at most ${room} fit between ${hex(lowest)}, where kernel and command line end, and ${hex(memory)}, where --memory ends${tables}`,
  );
}
