/**
 * What the kernel would find on a PC in ring 0: what a boot loader leaves there, and what the kernel itself has asked
 * for since, whether or not it was given that.
 */
import { CR0_ET, CR0_PE, CR0_TS } from '../control-bits.ts';
import type { TableRegister } from '../cpu-state.ts';
import { FLAG_IF, FLAG_IOPL, FLAG_NT } from '../flags.ts';
import { isNullSelector, type SegmentName, type SegmentRegister } from '../segmentation.ts';
import { iretSlots, stackSlot } from '../sensitive/flags.ts';
import { memorySelector } from '../sensitive/segments.ts';
import { littleEndian, type Situation } from '../sensitive/verdict.ts';

/** __BOOT_CS and __BOOT_DS: boot.rst, "32-bit Boot Protocol". */
const BOOT_CS = 0x10;
const BOOT_DS = 0x18;
/** GDT_ENTRY_BOOT_TSS: Linux 6.1 arch/x86/include/asm/segment.h; loaded in arch/x86/boot/pmjump.S. */
const BOOT_TSS = 0x20;
/** LMSW loads PE, MP, EM and TS, and cannot clear PE. SDM vol. 2, LMSW. */
const LMSW_MASK = 0xf;

export class BareHardware {
  /** IF and IOPL as EFLAGS has them: 0 at entry (boot.rst: interrupts must be disabled). */
  #flags = 0;
  #cpuHasIf = false;
  /** `undefined`: the boot loader's. */
  gdtr: TableRegister | undefined;
  /** Linux's setup code loads an empty one: Linux 6.1 arch/x86/boot/pm.c, setup_idt. */
  idtr: TableRegister = { base: 0, limit: 0 };
  ldtr = 0;
  tr = BOOT_TSS;
  cr0 = CR0_PE | CR0_ET;
  readonly #entry: Readonly<Record<SegmentName, SegmentRegister>>;

  /** @param entry the segment registers that the kernel was started with */
  constructor(entry: Readonly<Record<SegmentName, SegmentRegister>>) {
    this.#entry = entry;
  }

  /** The CPU's own IF is what the kernel last asked for: CLI and STI need no look. */
  get followsCpu(): boolean {
    return this.#cpuHasIf;
  }

  /** EFLAGS with IF and IOPL as they would be. */
  flags(eflags: number): number {
    const own = this.#cpuHasIf ? (this.#flags & ~FLAG_IF) | (eflags & FLAG_IF) : this.#flags;
    return ((eflags & ~(FLAG_IF | FLAG_IOPL)) | own) >>> 0;
  }

  /** A selector of the segments that the kernel was started with stands for the boot loader's; no other has an RPL. */
  selector(selector: number): number {
    if (isNullSelector(selector)) return selector & ~3;
    if (selector === this.#entry.cs.selector) return BOOT_CS;
    const isData = (['ds', 'es', 'ss', 'fs', 'gs'] as const).some(
      name => this.#entry[name].selector === selector,
    );
    return isData ? BOOT_DS : selector & ~3;
  }

  /** What `register` holds there while it holds `selector` here: the boot loader loads all but FS and GS. */
  held(register: SegmentName, selector: number): number {
    const untouched = selector === this.#entry[register].selector;
    if (untouched) return register === 'cs' ? BOOT_CS : BOOT_DS;
    return this.selector(selector);
  }

  /** Notes what the kernel asks for with the instruction at EIP. To be called before it runs, traps or is answered. */
  note(s: Situation): void {
    const { mnemonic, sensitivity, silent } = s.instruction;
    const givesIf = s.cpu.cpl <= s.state.iopl;
    if (silent === 'popf') this.#noteFlags(stackSlot(s, 0), givesIf);
    const isNested = (s.cpu.eflags & FLAG_NT) !== 0;
    if (silent === 'iret' && !isNested) this.#noteFlags(iretSlots(s)?.flags, givesIf);
    if (mnemonic === 'cli' || mnemonic === 'sti') {
      if (givesIf) this.#cpuHasIf = true;
      else this.#setIf(mnemonic === 'sti');
    }
    if (mnemonic === 'lldt') this.ldtr = operandSelector(s) ?? this.ldtr;
    if (mnemonic === 'ltr') this.tr = operandSelector(s) ?? this.tr;
    if (sensitivity?.type === 'rule') this.#noteRule(sensitivity.rule, s);
  }

  #noteRule(rule: string, s: Situation): void {
    switch (rule) {
      case 'lgdt':
        this.gdtr = tableOperand(s) ?? this.gdtr;
        return;
      case 'lidt':
        this.idtr = tableOperand(s) ?? this.idtr;
        return;
      case 'clts':
        this.cr0 &= ~CR0_TS;
        return;
      case 'lmsw': {
        const word = operandSelector(s);
        if (word !== undefined) this.cr0 = (this.cr0 & ~(LMSW_MASK & ~CR0_PE)) | (word & LMSW_MASK);
        return;
      }
      case 'mov-to-cr': {
        const { systemRegister, generalRegister } = s.instruction;
        if (systemRegister === 0 && generalRegister) this.cr0 = s.cpu.registers[generalRegister];
      }
    }
  }

  #noteFlags(image: number | undefined, givesIf: boolean): void {
    if (image === undefined) return;
    this.#cpuHasIf = givesIf;
    this.#flags = image & (FLAG_IF | FLAG_IOPL);
  }

  #setIf(set: boolean): void {
    this.#cpuHasIf = false;
    this.#flags = set ? this.#flags | FLAG_IF : this.#flags & ~FLAG_IF;
  }
}

/** The word that LLDT, LTR, LMSW, VERR … take from memory or a register. */
export function operandSelector(s: Situation): number | undefined {
  const { memory, generalRegister } = s.instruction;
  const operand = memory.find(use => use.read);
  if (operand) return memorySelector(s, operand, 0);
  return generalRegister ? s.cpu.registers[generalRegister] & 0xffff : undefined;
}

/** The pseudo-descriptor of LGDT and LIDT: limit and base; with operand size 16 the base has 24 bits. */
function tableOperand(s: Situation): TableRegister | undefined {
  const operand = s.instruction.memory.find(use => use.read);
  if (!operand) return undefined;
  const segment = s.cpu.segments[operand.segment].descriptor?.base ?? 0;
  const bytes = s.read((segment + operand.offset) >>> 0, 6);
  const limit = littleEndian(bytes.subarray(0, 2));
  const base = littleEndian(bytes.subarray(2, 6));
  if (bytes.length < 6 || limit === undefined || base === undefined) return undefined;
  return { limit, base: s.instruction.operandSize === 16 ? base & 0xffffff : base };
}
