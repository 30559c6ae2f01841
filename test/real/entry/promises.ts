/** What an entry state promises, looked for in what a real loader gives. */
import { GENERAL_REGISTERS, type GeneralRegister } from '../../../emulator/cpu-state.ts';
import { ALL_PROMISED, type EntryState } from '../../../emulator/entry-state.ts';
import {
  decodeDescriptor,
  encodeDescriptor,
  SEGMENT_NAMES,
  type SegmentRegister,
} from '../../../emulator/segmentation.ts';
import type { RealEntry } from './qemu.ts';

const hex = (value: number): string => `0x${(value >>> 0).toString(16)}`;
const TABLE_INDICATOR_AND_RPL = 7;

/**
 * @param pointers registers whose value is an address of the loader's choice
 * @returns each promise that does not hold: `ebx: 0xffff, promised 0x0`
 */
export async function brokenPromises(
  entry: EntryState,
  real: RealEntry,
  pointers: readonly GeneralRegister[],
): Promise<readonly string[]> {
  const promises = entry.promises ?? ALL_PROMISED;
  const { registers } = real;
  const broken: string[] = [];
  const expectSame = (what: string, found: number, promised: number): void => {
    if (found >>> 0 !== promised >>> 0) broken.push(`${what}: ${hex(found)}, promised ${hex(promised)}`);
  };

  for (const name of GENERAL_REGISTERS) {
    const { value, promised } = entry.registers[name];
    if (promised && !pointers.includes(name)) expectSame(name, registers.general[name], value);
  }
  expectSame('eflags', registers.eflags & promises.eflags, entry.eflags & promises.eflags);
  for (const name of ['cr0', 'cr2', 'cr3', 'cr4', 'efer'] as const) {
    expectSame(name, registers[name] & promises[name], entry.control[name] & promises[name]);
  }

  const segments = [
    ...SEGMENT_NAMES.map(name => ({
      name: name as string,
      given: entry.segments[name] as SegmentRegister,
      promised: entry.segments[name].promised,
      found: registers.segments[name],
    })),
    { name: 'ldtr', given: entry.ldtr, promised: promises.ldtr, found: registers.ldtr },
    { name: 'tr', given: entry.tr, promised: promises.tr, found: registers.tr },
  ];
  for (const { name, given, found } of segments.filter(({ promised }) => promised)) {
    if (promises.selectors) expectSame(`${name} selector`, found.selector, given.selector);
    if (!given.descriptor) continue;
    expectSame(`${name} base`, found.base, given.descriptor.base);
    expectSame(`${name} limit`, found.limit, given.descriptor.limit);
    expectSame(`${name} access`, accessOf(found.flags), accessOf(flagsOf(given)));
  }

  for (const name of ['gdtr', 'idtr'] as const) {
    if (!promises[name]) continue;
    expectSame(`${name} base`, registers[name].base, entry[name].base);
    expectSame(`${name} limit`, registers[name].limit, entry[name].limit);
  }
  if (promises.gdt) {
    for (const name of SEGMENT_NAMES) {
      const { selector, promised } = entry.segments[name];
      if (promised) await expectInTable(name, selector, entry.segments[name]);
    }
  }
  return broken;

  async function expectInTable(name: string, selector: number, given: SegmentRegister): Promise<void> {
    const at = selector & ~TABLE_INDICATOR_AND_RPL;
    if (at + 7 > registers.gdtr.limit) {
      broken.push(`${name}: no ${hex(selector)} in a GDT with limit ${hex(registers.gdtr.limit)}`);
      return;
    }
    const view = new DataView((await real.read(registers.gdtr.base + at, 8)).buffer);
    const descriptor = decodeDescriptor(view.getUint32(0, true), view.getUint32(4, true));
    expectSame(`GDT base of ${name}`, descriptor.base, given.descriptor?.base ?? 0);
    expectSame(`GDT limit of ${name}`, descriptor.limit, given.descriptor?.limit ?? 0);
    expectSame(
      `GDT access of ${name}`,
      accessOf(encodeDescriptor(descriptor).high),
      accessOf(flagsOf(given)),
    );
  }
}

const flagsOf = ({ descriptor }: SegmentRegister): number =>
  descriptor ? encodeDescriptor(descriptor).high : 0;

/**
 * Type, S, DPL, P, D/B and G. Without AVL, which is the software's; without the accessed bit of code and data, which
 * QEMU sets in memory and not in a hidden part that was loaded from a read-only table; without G of a TSS.
 */
function accessOf(flags: number): number {
  const CODE_OR_DATA = 1 << 12;
  return (flags & CODE_OR_DATA) !== 0 ? flags & 0x00c0_fe00 : flags & 0xff00;
}
