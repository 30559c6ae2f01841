/** What to try after a Stop: tables of hints, keyed by privilege rule, then by kind of Stop. */
import { codeBits } from '../emulator/code-bits.ts';
import type { GeneralRegister } from '../emulator/cpu-state.ts';
import { decodeInstruction } from '../emulator/decode/instruction.ts';
import { type EntryState, REGISTER_POISON } from '../emulator/entry-state.ts';
import type { RuleId, Stop, StopKind } from '../emulator/stop.ts';
import type { KernelImage } from '../src/kernel-image/kernel-image.ts';
import { MAX_MEMORY } from './knobs.ts';
import { isFrom, type LinuxVersion, linuxVersion } from './linux/linux-version.ts';
import { ruleOf } from './reactions.ts';

/** A hint, or none when it does not fit the image, the Stop or what the kernel was started from. */
export type Hint = string | ((stop: Stop, image: KernelImage, entry?: EntryState) => string | undefined);

export interface AdviceTable {
  readonly rules: Readonly<Record<RuleId, readonly Hint[]>>;
  readonly kinds: Readonly<Partial<Record<StopKind, readonly Hint[]>>>;
}

const RUN_ENDED_HINTS: Readonly<Partial<Record<StopKind, readonly Hint[]>>> = {
  budget: ['a larger -n goes on further'],
  timeout: ['a larger --timeout goes on further'],
  'engine-limit': [
    stop =>
      stop.kind === 'engine-limit' && stop.limit === 'paging-not-identity'
        ? '--engine libunicorn follows page tables that are not 1:1'
        : undefined,
  ],
};

/** `--gdt flat puts a GDT there` while the kernel was started with it: nothing to try. */
function isSetAlready(hint: string, entry: EntryState | undefined): boolean {
  const [, knob = '', value] = /^--([a-z-]+) (\S+)/.exec(hint) ?? [];
  return entry !== undefined && value !== undefined && entry.knobs[knob] === value;
}

export function advise(
  table: AdviceTable,
  stop: Stop,
  image: KernelImage,
  entry?: EntryState,
): readonly string[] {
  const rule = ruleOf(stop);
  const hints: readonly Hint[] = [
    unsetRegisterHint,
    ...(RUN_ENDED_HINTS[stop.kind] ?? []),
    ...((rule !== undefined && Object.hasOwn(table.rules, rule) ? table.rules[rule] : undefined) ?? []),
    ...(table.kinds[stop.kind] ?? []),
  ];
  return hints
    .flatMap(hint => (typeof hint === 'string' ? hint : (hint(stop, image, entry) ?? [])))
    .filter(hint => !isSetAlready(hint, entry));
}

/** How far from its value at entry a register is still the one that no one has set. */
const UNSET_REACH = 0x1000;

/** Whether an offset was computed from `register`: decoded again with another value there, it is another offset. */
function isBase(register: GeneralRegister, address: number, { instruction, cpu }: Stop): boolean {
  if (!instruction) return cpu.registers[register] === address;
  const { bytes, address: at } = instruction;
  const uses = (values: typeof cpu.registers) => decodeInstruction(bytes, at, codeBits(cpu), values).memory;
  const other = { ...cpu.registers, [register]: (cpu.registers[register] ^ 0x100000) >>> 0 };
  const moved = uses(other);
  return uses(cpu.registers).some(
    ({ offset, size }, index) =>
      address >= offset && address < offset + Math.max(size, 1) && moved[index]?.offset !== offset,
  );
}

/** The address that a Stop is about, as an offset in its segment. */
function refusedAddress(stop: Stop): number | undefined {
  if (stop.kind === 'segment-access') return stop.problem === 'limit' ? stop.offset : undefined;
  return stop.kind === 'page-fault' || stop.kind === 'memory-hole' ? stop.address : undefined;
}

/** The register that an access went through although the kernel was started without a value in it. */
function unsetRegister(stop: Stop, entry: EntryState | undefined): GeneralRegister | undefined {
  const address = refusedAddress(stop);
  if (entry === undefined || address === undefined) return undefined;
  const names = Object.keys(entry.registers) as GeneralRegister[];
  return names.find(name => {
    const { value, promised } = entry.registers[name];
    const isStackless = name === 'esp' && value === 0 && stop.cpu.registers.esp === 0;
    const isPoison =
      !promised &&
      value === REGISTER_POISON[name] &&
      Math.abs(stop.cpu.registers[name] - value) <= UNSET_REACH;
    return (isStackless || isPoison) && isBase(name, address, stop);
  });
}

function unsetRegisterHint(stop: Stop, _image: KernelImage, entry?: EntryState): string | undefined {
  const register = unsetRegister(stop, entry);
  if (register === undefined || entry === undefined) return undefined;
  const { promised } = entry.registers[register];
  const name = register.toUpperCase();
  const state = promised
    ? `${name} is 0 at entry`
    : `${name} holds the pattern of a register that ${entry.protocol} does not promise`;
  return `${state}: the kernel has ${register === 'esp' ? 'no stack yet' : `not set ${name} yet`}`;
}

/** A hint at --memory, where a larger one would reach the address. */
export const moreMemory =
  (hint: string): Hint =>
  (stop, _image, entry) => {
    if (stop.kind !== 'page-fault' && stop.kind !== 'memory-hole') return undefined;
    if (entry === undefined || unsetRegister(stop, entry) !== undefined) return undefined;
    const [ram] = entry.banks.filter(bank => bank.kind === 'ram').sort((a, b) => b.size - a.size);
    if (!ram || stop.address < ram.start + ram.size) return undefined;
    return stop.address < Math.min(ram.start + MAX_MEMORY, 2 ** 32) ? hint : undefined;
  };

/** Selectors 0x10 and 0x18 of a flat GDT, whatever their RPL. */
const FLAT_SELECTORS: readonly number[] = [0x10, 0x18];

/** --gdt flat, where it is the missing GDT that stops a load of one of its selectors. */
export const FLAT_GDT: Hint = stop =>
  stop.kind === 'segment-load' && stop.problem === 'no-gdt' && FLAT_SELECTORS.includes(stop.selector & ~3)
    ? '--gdt flat puts a GDT there with 0x10 and 0x18'
    : undefined;

/** The first Linux that no longer reads KEEP_SEGMENTS. */
const IGNORES_SEGMENTS: LinuxVersion = { major: 5, minor: 7 };
/** The first without the table of entries by hardware_subarch in startup_32. */
const NO_SUBARCH_TABLE: LinuxVersion = { major: 5, minor: 9 };

/** KEEP_SEGMENTS, by what the image says of its version. */
export const KEEP_SEGMENTS = (_stop: Stop, image: KernelImage, entry?: EntryState): string => {
  const version = linuxVersion(image);
  if (isFrom(version, IGNORES_SEGMENTS))
    return `Linux ${version.major}.${version.minor} does not look at KEEP_SEGMENTS: from 5.7 on it always starts with cli and loads its segments`;
  return entry?.knobs['keep-segments'] === '1'
    ? 'KEEP_SEGMENTS is set here: Linux 2.6.24 to 5.6 then leaves out cli and the segment loads, any other kernel may not look at it'
    : '--keep-segments 1 makes Linux 2.6.24 to 5.6 leave out cli and the segment loads';
};

/** That there is no paravirtual entry to ask for; nothing where the version is not known, or has one. */
export function noSubarchTable(image: KernelImage): string | undefined {
  const version = linuxVersion(image);
  return isFrom(version, NO_SUBARCH_TABLE)
    ? `Linux ${version.major}.${version.minor} has no paravirtual entry in startup_32: the table by hardware_subarch went in 5.9`
    : undefined;
}
