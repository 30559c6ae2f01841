/** What the kernel proper finds at its first instruction, against what the stub around it was given. */
import { CR0_PG, CR4_PAE } from '../../../emulator/control-bits.ts';
import { type CpuState, linearEip, type TableRegister } from '../../../emulator/cpu-state.ts';
import {
  ALL_BITS,
  ALL_PROMISED,
  cpuStateOf,
  type EntryState,
  type Promises,
} from '../../../emulator/entry-state.ts';
import { FLAG_DF, FLAG_IF, FLAG_IOPL, iopl } from '../../../emulator/flags.ts';
import { type BitNames, CR0_BITS, CR4_BITS, setBits } from '../../../emulator/operands/bits.ts';
import { pagingIsOn } from '../../../emulator/paging.ts';
import type { SegmentRegister } from '../../../emulator/segmentation.ts';
import type { Stop } from '../../../emulator/stop.ts';
import { physicalEntry } from '../../kernel-image/entry.ts';
import type { ElfImage } from '../../kernel-image/kernel-image.ts';
import { descriptorReport } from '../descriptor.ts';
import { bare, hex16, hex32, hexShort } from '../hex.ts';
import { createNames, type Names } from '../names.ts';
import type { HandOverReport, HandOverRow } from './report.ts';

/** `0x0010 00000000 ffffffff 00cf9b00`: selector, base, limit, flags, as in the register dump. */
function segment({ selector, descriptor }: SegmentRegister): string {
  if (!descriptor) return `${hex16(selector)}, null`;
  const { base, limit, flags } = descriptorReport(descriptor);
  return [hex16(selector), bare(base), bare(limit), bare(flags)].join(' ');
}

const table = ({ base, limit }: TableRegister): string => `${hex32(base)}, limit ${hexShort(limit)}`;

const withBits = (value: number, names: readonly string[]): string =>
  [hex32(value), ...(names.length === 0 ? [] : [`(${names.join(' ')})`])].join(' ');

function paging({ control }: CpuState): string {
  if (!pagingIsOn(control)) return 'off';
  return (control.cr4 & CR4_PAE) === 0 ? 'on' : 'on, PAE';
}

const bit = (eflags: number, mask: number): number => ((eflags & mask) === 0 ? 0 : 1);

const flags = ({ eflags }: CpuState): string =>
  `${hex32(eflags)}, IF=${bit(eflags, FLAG_IF)} DF=${bit(eflags, FLAG_DF)} IOPL=${iopl(eflags)}`;

/** Arithmetic flags say nothing about how a kernel is entered. */
const decisiveFlags = ({ eflags }: CpuState): string =>
  [bit(eflags, FLAG_IF), bit(eflags, FLAG_DF), iopl(eflags)].join();

/** What is promised of a value: all of it, nothing, or bits by their names. */
type Promised = boolean | readonly string[];

const promisesOf = ({ promises = ALL_PROMISED }: EntryState): Promises => promises;

/** @param whole the bits that are looked at */
function promisedBits(mask: number, names: BitNames, whole: number = ALL_BITS): Promised {
  const promised = (mask & whole) >>> 0;
  if (promised === 0) return false;
  return promised === whole || setBits(promised, names);
}

/** The flags that are shown; IOPL is two bits, promised together. */
const SHOWN_FLAGS = FLAG_IF | FLAG_DF | FLAG_IOPL;
const SHOWN_FLAG_NAMES: BitNames = { 9: 'IF', 10: 'DF', 12: 'IOPL' };

interface Look {
  readonly what: string;
  readonly show: (cpu: CpuState) => string;
  /** Absent: there is nothing to promise apart. */
  readonly promised?: (entry: EntryState) => Promised;
  /** Default: what is shown. */
  readonly decides?: (cpu: CpuState) => string;
}

const REGISTERS = ['esi', 'ebx', 'ebp', 'edi', 'esp'] as const;
const SEGMENTS = ['cs', 'ds', 'es', 'fs', 'gs', 'ss'] as const;

const register = (name: (typeof REGISTERS)[number]): Look => ({
  what: name.toUpperCase(),
  show: cpu => hex32(cpu.registers[name]),
  promised: entry => entry.registers[name].promised,
});

const segmentRegister = (name: (typeof SEGMENTS)[number]): Look => ({
  what: name.toUpperCase(),
  show: cpu => segment(cpu.segments[name]),
  promised: entry => entry.segments[name].promised,
});

/** What boot.rst, "32-bit boot protocol", speaks of, and what a paravirtual loader may have set up otherwise. */
const LOOKS: readonly Look[] = [
  ...REGISTERS.map(register),
  {
    what: 'EFLAGS',
    show: flags,
    promised: entry => promisedBits(promisesOf(entry).eflags, SHOWN_FLAG_NAMES, SHOWN_FLAGS),
    decides: decisiveFlags,
  },
  { what: 'CPL', show: cpu => String(cpu.cpl) },
  ...SEGMENTS.map(segmentRegister),
  { what: 'GDTR', show: cpu => table(cpu.gdtr), promised: entry => promisesOf(entry).gdtr },
  { what: 'IDTR', show: cpu => table(cpu.idtr), promised: entry => promisesOf(entry).idtr },
  { what: 'paging', show: paging, promised: entry => (promisesOf(entry).cr0 & CR0_PG) !== 0 },
  {
    what: 'CR0',
    show: cpu => withBits(cpu.control.cr0, setBits(cpu.control.cr0, CR0_BITS)),
    promised: entry => promisedBits(promisesOf(entry).cr0, CR0_BITS),
  },
  {
    what: 'CR3',
    show: cpu => hex32(cpu.control.cr3),
    promised: entry => promisedBits(promisesOf(entry).cr3, {}),
  },
  {
    what: 'CR4',
    show: cpu => withBits(cpu.control.cr4, setBits(cpu.control.cr4, CR4_BITS)),
    promised: entry => promisedBits(promisesOf(entry).cr4, CR4_BITS),
  },
];

const promiseOf = (promised: Promised | undefined): Pick<HandOverRow, 'promised' | 'promisedBits'> => {
  if (promised === undefined) return {};
  return typeof promised === 'boolean' ? { promised } : { promised: true, promisedBits: [...promised] };
};

const spellDistance = (distance: number): string =>
  `${distance < 0 ? '-' : '+'}${hexShort(Math.abs(distance))}`;

/** @param stop at the first instruction of the kernel proper */
export function handOverReport(stop: Stop, entry: EntryState, kernel: ElfImage): HandOverReport {
  const given = cpuStateOf(entry);
  const at = linearEip(stop.cpu);
  const linkedAt = physicalEntry(kernel);
  return {
    entry: hex32(at),
    linkedAt: hex32(linkedAt),
    ...(at !== linkedAt && { moved: spellDistance(at - linkedAt) }),
    rows: LOOKS.map(({ what, show, promised, decides = show }) => ({
      what,
      given: show(given),
      ...promiseOf(promised?.(entry)),
      found: show(stop.cpu),
      same: decides(given) === decides(stop.cpu),
    })),
  };
}

/** Names of the kernel proper where the stub has put it: decompressors move physical and virtual addresses alike. */
export function namesOfMoved(kernel: ElfImage, at: number): Names {
  const distance = at - physicalEntry(kernel);
  const moved = (address: number): number => (address + distance) >>> 0;
  const names =
    distance === 0
      ? kernel
      : {
          ...kernel,
          entry: moved(kernel.entry),
          segments: kernel.segments.map(segment => ({
            ...segment,
            physical: moved(segment.physical),
            virtual: moved(segment.virtual),
          })),
          symbols: kernel.symbols.map(symbol => ({ ...symbol, address: moved(symbol.address) })),
        };
  return createNames(names, { eip: at, knobs: {} });
}
