/** Eras of lguest: versions of Linux, from the first that had it to the last, and what differs between them. */
import type { GeneralRegister } from '../../emulator/cpu-state.ts';

export const OLDEST_LGUEST = '2.6.23';
export const NEWEST_LGUEST = '4.13';

/** `2.6.34` against `4.13`: by number, part by part. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map(version => version.split('.').map(Number));
  for (let i = 0; i < 3; i++) {
    const difference = (left?.[i] ?? 0) - (right?.[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Whether there was an lguest in this version of Linux. */
export const isLguestVersion = (version: string): boolean =>
  /^[0-9]+(\.[0-9]+){1,2}$/.test(version) &&
  compareVersions(version, OLDEST_LGUEST) >= 0 &&
  compareVersions(version, NEWEST_LGUEST) <= 0;

/** 2.07 of the boot protocol; the launcher no longer looks for the entry (Linux commits 814a0e5cdfb, 5bbf89fc260). */
const BOOT_PROTOCOL_SINCE = '2.6.24';
/** The launcher's concat: a space after each word in 2.6.23 and 2.6.24, none behind the last in later ones. */
const SPACES_UNTIL = '2.6.24';
/** The host builds the page tables (commit 58a24566449). */
const HOST_TABLES_SINCE = '2.6.29';
const FOUR_ARGUMENTS_SINCE = '2.6.31';
const VMCALL_SINCE = '2.6.30';
const VMCALL_UNTIL = '2.6.33';
const PAE_SINCE = '2.6.31';
/** Read in 3.0, 3.1 and later; not in 2.6.38. */
const KERNEL_ALIGNMENT_SINCE = '3.0';
/** The host's linear_pages: read in 3.1; 3.0 has the tables still. */
const LINEAR_PAGES_SINCE = '3.1';
const CLEARS_SINCE = '4.0';

/**
 * The page tables that a guest is started on.
 * - `page-offset`: by the launcher, in guest memory: all of it at PAGE_OFFSET alone
 * - `linear`: by the launcher, in guest memory: all of it 1:1
 * - `both`: by the host, in guest memory: all of it 1:1 and at PAGE_OFFSET
 * - `none`: none in guest memory; the host maps 1:1 what is touched
 */
export type InitialTables = 'page-offset' | 'linear' | 'both' | 'none';

export interface LguestEra {
  readonly version: string;
  /** The launcher looks for "GenuineLguest" in the image, and enters behind it at the virtual address. */
  readonly findsEntry: boolean;
  readonly tables: InitialTables;
  readonly pae: boolean;
  /** The host takes vmcall, besides int $0x1f. */
  readonly vmcall: boolean;
  readonly hypercallArguments: readonly GeneralRegister[];
  /** The command line has a space behind each word. */
  readonly trailingSpace: boolean;
  /** hdr.version 2.07 and KEEP_SEGMENTS. */
  readonly bootProtocol: boolean;
  /** hdr.kernel_alignment. */
  readonly kernelAlignment: boolean;
  /** tboot_addr and apm_bios_info.version are set to 0. */
  readonly clears: boolean;
}

function initialTables(version: string): InitialTables {
  if (compareVersions(version, BOOT_PROTOCOL_SINCE) < 0) return 'page-offset';
  if (compareVersions(version, HOST_TABLES_SINCE) < 0) return 'linear';
  return compareVersions(version, LINEAR_PAGES_SINCE) < 0 ? 'both' : 'none';
}

/** include/linux/lguest.h and arch/x86/include/asm/lguest_hcall.h, hcall(). */
function hypercallArguments(version: string): readonly GeneralRegister[] {
  if (compareVersions(version, VMCALL_SINCE) < 0) return ['edx', 'ebx', 'ecx'];
  if (compareVersions(version, FOUR_ARGUMENTS_SINCE) < 0) return ['ebx', 'ecx', 'edx'];
  return ['ebx', 'ecx', 'edx', 'esi'];
}

/** @param version of Linux, from 2.6.23 to 4.13 */
export function lguestEra(version: string): LguestEra {
  const since = (first: string): boolean => compareVersions(version, first) >= 0;
  const until = (last: string): boolean => compareVersions(version, last) <= 0;
  return {
    version,
    findsEntry: !since(BOOT_PROTOCOL_SINCE),
    tables: initialTables(version),
    pae: since(PAE_SINCE),
    vmcall: since(VMCALL_SINCE) && until(VMCALL_UNTIL),
    hypercallArguments: hypercallArguments(version),
    trailingSpace: until(SPACES_UNTIL),
    bootProtocol: since(BOOT_PROTOCOL_SINCE),
    kernelAlignment: since(KERNEL_ALIGNMENT_SINCE),
    clears: since(CLEARS_SINCE),
  };
}
