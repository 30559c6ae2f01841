/** The knobs: which a protocol takes, their values when absent, and how the command line spells them. */
import { CPU_MODELS, findCpuModel } from '../emulator/cpu-models/index.ts';
import type { Ring } from '../emulator/cpu-state.ts';
import type { EntryState, PagingMode } from '../emulator/entry-state.ts';
import { PAGE_SIZE } from '../emulator/paging.ts';
import type { KernelImage } from '../src/kernel-image/kernel-image.ts';
import { isLguestVersion, NEWEST_LGUEST, OLDEST_LGUEST } from './lguest/eras.ts';
import {
  type BootModule,
  type BootOptions,
  type BootProtocol,
  DEFAULT_MEMORY,
  type KnobName,
  ProtocolError,
  type XenHost,
} from './protocol.ts';

/** A protocol's own values of the knobs that have different ones. */
export interface KnobDefaults {
  readonly ring: Ring;
  readonly paging: PagingMode;
  readonly gdt: 'flat' | 'none';
  readonly keepSegments: boolean;
  readonly subarch: number;
  /** Name of a CPU model of `emulator/cpu-models/`; for the entry of a 64-bit kernel see {@link settleKnobs}. */
  readonly cpu: string;
  /** Default: {@link NEWEST_LGUEST}. */
  readonly era?: string;
  /** Default: 64. */
  readonly xenHost?: XenHost;
}

/**
 * The 32-bit entry of a 64-bit kernel needs a CPU with long mode. A 32-bit kernel gets one without: memtest86+ (ia32)
 * for one enters long mode by itself where it finds it.
 */
const WITH_LONG_MODE: Readonly<Record<string, string>> = { i686: 'core2', 'i686-hv': 'core2-hv' };

/** A protocol together with its knobs' own values. */
export interface KnobbedProtocol extends BootProtocol {
  readonly defaults: KnobDefaults;
}

/** Every knob, settled. */
export interface Knobs extends Required<KnobDefaults> {
  readonly memory: number;
  readonly cmdline: string;
  readonly initrd: Uint8Array | undefined;
  readonly loadAddress: number | undefined;
  readonly poison: boolean;
  readonly privileged: boolean;
  readonly modules: readonly BootModule[];
}

interface KnobSpelling {
  readonly flag: string;
  readonly values: string;
  readonly summary: string;
}

/** In the order in which they are shown. */
const SPELLINGS: Readonly<Record<KnobName, KnobSpelling>> = {
  memory: { flag: '--memory', values: 'SIZE', summary: 'RAM, in whole pages' },
  cmdline: { flag: '--cmdline', values: 'TEXT', summary: 'the kernel command line' },
  initrd: { flag: '--initrd', values: 'FILE', summary: 'an initial RAM disk' },
  loadAddress: {
    flag: '--load-address',
    values: 'ADDRESS',
    summary: 'physical address to load a relocatable bzImage at',
  },
  ring: { flag: '--ring', values: '0..3', summary: 'the ring that the kernel starts in' },
  paging: { flag: '--paging', values: 'off|on|pae', summary: 'paging at entry: none, 32-bit, PAE' },
  gdt: { flag: '--gdt', values: 'flat|none', summary: 'whether there is a GDT that segment loads can use' },
  keepSegments: { flag: '--keep-segments', values: '0|1', summary: 'KEEP_SEGMENTS in loadflags' },
  subarch: { flag: '--subarch', values: 'N', summary: 'hardware_subarch in boot_params' },
  poison: {
    flag: '--poison',
    values: '',
    summary: 'fill memory that the protocol does not define with 0xcc',
  },
  cpu: { flag: '--cpu', values: 'MODEL', summary: 'what cpuid shows' },
  era: { flag: '--era', values: 'VERSION', summary: 'the version of Linux whose lguest it is' },
  xenHost: {
    flag: '--xen-host',
    values: '32|64',
    summary: 'whether Xen itself is a 32-bit or a 64-bit program',
  },
  privileged: { flag: '--privileged', values: '', summary: 'the domain is dom0' },
  modules: {
    flag: '--module',
    values: 'FILE[=TEXT]',
    summary: 'a file handed to the kernel, with its own command line; may be repeated',
  },
};

const KNOB_NAMES = Object.keys(SPELLINGS) as readonly KnobName[];

const PAGING_SPELLING: Readonly<Record<PagingMode, string>> = { off: 'off', '32-bit': 'on', pae: 'pae' };

/** The largest RAM: above it are the PCI hole of a PC and the memory that a host keeps for itself. */
export const MAX_MEMORY = 0xc0000000;

/**
 * Fills in a protocol's own values and checks what was given.
 *
 * @param image decides about the CPU model when none is given
 *
 * @throws {ProtocolError} (usage) `unknown-knob`, `bad-knob`
 */
export function settleKnobs(protocol: KnobbedProtocol, options: BootOptions, image?: KernelImage): Knobs {
  for (const name of Object.keys(options)) {
    const known = KNOB_NAMES.find(knob => knob === name);
    if (known && options[known] === undefined) continue;
    if (!known || !protocol.knobs.includes(known)) {
      const flag = known ? SPELLINGS[known].flag : name;
      throw new ProtocolError(
        'unknown-knob',
        `${protocol.name} has no knob ${flag}; it has ${protocol.knobs.map(knob => SPELLINGS[knob].flag).join(', ')}`,
        true,
      );
    }
  }
  const { defaults } = protocol;
  const is64Bit = image?.format === 'bzimage' && image.is64Bit;
  const knobs: Knobs = {
    memory: options.memory ?? DEFAULT_MEMORY,
    cmdline: options.cmdline ?? '',
    initrd: options.initrd?.length ? options.initrd : undefined,
    loadAddress: options.loadAddress,
    ring: options.ring ?? defaults.ring,
    paging: options.paging ?? defaults.paging,
    gdt: options.gdt ?? defaults.gdt,
    keepSegments: options.keepSegments ?? defaults.keepSegments,
    subarch: options.subarch ?? defaults.subarch,
    poison: options.poison ?? false,
    cpu: options.cpu ?? ((is64Bit && WITH_LONG_MODE[defaults.cpu]) || defaults.cpu),
    era: options.era ?? defaults.era ?? NEWEST_LGUEST,
    xenHost: options.xenHost ?? defaults.xenHost ?? 64,
    privileged: options.privileged ?? false,
    modules: options.modules ?? [],
  };
  checkKnobs(knobs);
  return knobs;
}

const bad = (knob: KnobName, found: string, expected: string): ProtocolError =>
  new ProtocolError('bad-knob', `${SPELLINGS[knob].flag} is ${found}; ${expected}`, true);

const isU32 = (value: number): boolean => Number.isInteger(value) && value >= 0 && value < 2 ** 32;

function checkKnobs(knobs: Knobs): void {
  const { memory, ring, paging, gdt, subarch, loadAddress, cmdline } = knobs;
  if (typeof memory !== 'number') {
    throw bad('memory', `a ${typeof memory}`, 'expected a number of bytes');
  }
  if (!Number.isInteger(memory) || memory <= 0 || memory % PAGE_SIZE !== 0 || memory > MAX_MEMORY) {
    throw bad('memory', String(memory), `expected a multiple of ${PAGE_SIZE} bytes, at most ${MAX_MEMORY}`);
  }
  if (![0, 1, 2, 3].includes(ring)) throw bad('ring', String(ring), 'expected 0, 1, 2 or 3');
  if (!Object.hasOwn(PAGING_SPELLING, paging)) throw bad('paging', String(paging), 'expected off, on or pae');
  if (gdt !== 'flat' && gdt !== 'none') throw bad('gdt', String(gdt), 'expected flat or none');
  if (!isU32(subarch)) throw bad('subarch', String(subarch), 'expected a number from 0 to 4294967295');
  if (loadAddress !== undefined && !isU32(loadAddress)) {
    throw bad('loadAddress', String(loadAddress), 'expected an address from 0 to 0xffffffff');
  }
  if (!findCpuModel(knobs.cpu)) {
    throw bad('cpu', knobs.cpu, `expected one of ${CPU_MODELS.map(model => model.name).join(', ')}`);
  }
  if (cmdline.includes('\0')) throw bad('cmdline', 'a text with a NUL character', 'expected one without');
  if (!isLguestVersion(knobs.era)) {
    throw bad('era', knobs.era, `expected a version of Linux from ${OLDEST_LGUEST} to ${NEWEST_LGUEST}`);
  }
  if (knobs.xenHost !== 32 && knobs.xenHost !== 64)
    throw bad('xenHost', String(knobs.xenHost), 'expected 32 or 64');
  if (knobs.modules.some(module => module.cmdline?.includes('\0'))) {
    throw bad('modules', 'a text with a NUL character', 'expected one without');
  }
}

/** Bytes as the command line takes them: `64M`, `640K`, `4096`. */
export function spellSize(bytes: number): string {
  if (bytes % 2 ** 20 === 0) return `${bytes / 2 ** 20}M`;
  return bytes % 2 ** 10 === 0 ? `${bytes / 2 ** 10}K` : String(bytes);
}

const spellCount = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

function spellKnob(name: KnobName, knobs: Knobs): string | undefined {
  switch (name) {
    case 'memory':
      return spellSize(knobs.memory);
    case 'cmdline':
      return knobs.cmdline === '' ? undefined : knobs.cmdline;
    case 'initrd':
      return knobs.initrd && `${knobs.initrd.length} bytes`;
    case 'loadAddress':
      return knobs.loadAddress === undefined ? undefined : `0x${knobs.loadAddress.toString(16)}`;
    case 'ring':
    case 'subarch':
      return String(knobs[name]);
    case 'paging':
      return PAGING_SPELLING[knobs.paging];
    case 'keepSegments':
      return knobs.keepSegments ? '1' : '0';
    case 'poison':
      return knobs.poison ? 'on' : undefined;
    case 'privileged':
      return knobs.privileged ? 'on' : undefined;
    case 'modules':
      return knobs.modules.length === 0 ? undefined : spellCount(knobs.modules.length, 'file');
    case 'xenHost':
      return String(knobs.xenHost);
    case 'gdt':
    case 'cpu':
    case 'era':
      return knobs[name];
  }
}

/** The settled knobs by flag (without `--`), in a fixed order; those that are empty or off are left out. */
function spellKnobs(protocol: BootProtocol, knobs: Knobs): Readonly<Record<string, string>> {
  const spelled: Record<string, string> = {};
  for (const name of KNOB_NAMES) {
    if (!protocol.knobs.includes(name)) continue;
    const value = spellKnob(name, knobs);
    if (value !== undefined) spelled[SPELLINGS[name].flag.slice(2)] = value;
  }
  return spelled;
}

/** What every entry state has of its protocol and its knobs. */
export const startedBy = (
  protocol: BootProtocol,
  knobs: Knobs,
): Pick<EntryState, 'protocol' | 'knobs' | 'poison'> => ({
  protocol: protocol.name,
  knobs: spellKnobs(protocol, knobs),
  ...(knobs.poison ? { poison: true } : {}),
});

/** One knob of one protocol, for a listing. */
export interface KnobDescription extends KnobSpelling {
  readonly knob: KnobName;
  /** As the command line spells it; absent when there is nothing unless it is given. */
  readonly default?: string;
}

/** A protocol's knobs with their values when absent, in a fixed order. */
export function describeKnobs(protocol: KnobbedProtocol): readonly KnobDescription[] {
  const knobs = settleKnobs(protocol, {});
  return KNOB_NAMES.filter(name => protocol.knobs.includes(name)).map(knob => {
    const value = spellKnob(knob, knobs);
    return { knob, ...SPELLINGS[knob], ...(value === undefined ? {} : { default: value }) };
  });
}
