/** The text of `info registers` of QEMU's monitor, as numbers. */
import { GENERAL_REGISTERS, type GeneralRegister } from '../../../emulator/cpu-state.ts';
import { SEGMENT_NAMES, type SegmentName } from '../../../emulator/segmentation.ts';

export interface QemuSegment {
  readonly selector: number;
  readonly base: number;
  /** In bytes, inclusive. */
  readonly limit: number;
  /** The descriptor's high dword without its base and limit; 0 for what was never loaded. */
  readonly flags: number;
}

export interface QemuTable {
  readonly base: number;
  readonly limit: number;
}

export interface QemuRegisters {
  readonly general: Readonly<Record<GeneralRegister, number>>;
  readonly eip: number;
  readonly eflags: number;
  readonly segments: Readonly<Record<SegmentName, QemuSegment>>;
  readonly ldtr: QemuSegment;
  readonly tr: QemuSegment;
  readonly gdtr: QemuTable;
  readonly idtr: QemuTable;
  readonly cr0: number;
  readonly cr2: number;
  readonly cr3: number;
  readonly cr4: number;
  readonly efer: number;
}

const HEX = '([0-9a-f]+)';

export function readRegisters(text: string): QemuRegisters {
  const fields = (pattern: string): readonly number[] => {
    const found = new RegExp(pattern, 'im').exec(text);
    if (!found) throw new Error(`no ${pattern} in what QEMU says:\n${text}`);
    return found.slice(1).map(field => Number.parseInt(field, 16));
  };
  const value = (name: string): number => fields(`\\b${name}=${HEX}`)[0] ?? 0;
  const segment = (name: string): QemuSegment => {
    const [selector = 0, base = 0, limit = 0, flags = 0] = fields(
      `^${name.padEnd(3)}=${HEX} ${HEX} ${HEX} ${HEX}`,
    );
    return { selector, base, limit, flags: (flags & FLAGS) >>> 0 };
  };
  const table = (name: string): QemuTable => {
    const [base = 0, limit = 0] = fields(`^${name}= +${HEX} ${HEX}`);
    return { base, limit };
  };
  return {
    general: record(GENERAL_REGISTERS, value),
    eip: value('EIP'),
    eflags: value('EFL'),
    segments: record(SEGMENT_NAMES, segment),
    ldtr: segment('LDT'),
    tr: segment('TR'),
    gdtr: table('GDT'),
    idtr: table('IDT'),
    cr0: value('CR0'),
    cr2: value('CR2'),
    cr3: value('CR3'),
    cr4: value('CR4'),
    efer: value('EFER'),
  };
}

/** Type, S, DPL, P, AVL, L, D/B and G: bits 8 to 15 and 20 to 23 (SDM vol. 3, figure 3-8). */
const FLAGS = 0x00f0_ff00;

const record = <K extends string, V>(names: readonly K[], make: (name: K) => V): Record<K, V> =>
  Object.fromEntries(names.map(name => [name, make(name)])) as Record<K, V>;
