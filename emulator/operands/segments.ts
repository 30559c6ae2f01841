/** Loads of segment registers, LDTR, TR and of CS by a far transfer. */
import { DESCRIPTOR_SIZE, isNullSelector, type SegmentName, selectorUsesLdt } from '../segmentation.ts';
import type { Situation } from '../sensitive/verdict.ts';
import { descriptorAt, dwordAt, readAll, readOperand, unreadable, wordAt } from './memory.ts';
import type { NoDescriptor, OperandMemory, SegmentOperand } from './types.ts';

/** A GDT needs room for one descriptor after the null one (SDM vol. 3, 3.5.1). */
const SMALLEST_GDT_LIMIT = 15;

type Found = Pick<SegmentOperand, 'descriptor' | 'noDescriptor'>;

/** What a selector names in the tables as they are, or why it names nothing. */
function describeSelector(s: Situation, register: SegmentOperand['register'], selector: number): Found {
  const none = (noDescriptor: NoDescriptor): Found => ({ noDescriptor });
  if (isNullSelector(selector)) return none('null');
  const system = register === 'ldtr' || register === 'tr';
  const local = selectorUsesLdt(selector);
  if (local && system) return none('not-gdt');
  const ldt = s.cpu.ldtr.descriptor;
  if (local && !ldt) return none('no-ldt');
  const table = local && ldt ? ldt : s.cpu.gdtr;
  if (!local && table.limit < SMALLEST_GDT_LIMIT) return none('no-gdt');
  const offset = selector & 0xfff8;
  if (offset + DESCRIPTOR_SIZE - 1 > table.limit) return none('limit');
  const linear = (table.base + offset) >>> 0;
  const reason = unreadable(s, linear, DESCRIPTOR_SIZE);
  return reason ? none(reason) : { descriptor: descriptorAt(readAll(s, linear, DESCRIPTOR_SIZE), 0) };
}

interface Source {
  readonly selector?: number;
  readonly offset?: number;
  readonly memory?: OperandMemory;
}

/** Selector and offset, wherever the instruction has them. */
function source(s: Situation): Source | undefined {
  const { instruction, cpu } = s;
  const { mnemonic, farPointer, generalRegister, operandSize } = instruction;
  const bytes = operandSize / 8;
  if (farPointer) return farPointer;
  if (mnemonic === 'pop') return stackSlots(s, 1);
  if (mnemonic === 'retf' || mnemonic.startsWith('iret')) return stackSlots(s, 2);
  const use = instruction.memory.find(each => each.read);
  if (!use) return generalRegister ? { selector: cpu.registers[generalRegister] & 0xffff } : undefined;
  const selectorOnly = mnemonic === 'mov' || mnemonic === 'lldt' || mnemonic === 'ltr';
  const { memory, bytes: contents } = readOperand(s, use, selectorOnly ? 2 : bytes + 2);
  if (!contents) return { memory };
  if (selectorOnly) return { memory, selector: wordAt(contents, 0) };
  const offset = bytes === 2 ? wordAt(contents, 0) : dwordAt(contents, 0);
  return { memory, selector: wordAt(contents, bytes), offset };
}

/** POP reads a selector; a far return EIP and then CS. */
function stackSlots(s: Situation, slots: 1 | 2): Source {
  const bytes = s.instruction.operandSize / 8;
  const stack = s.cpu.segments.ss.descriptor;
  const top = stack?.big === false ? s.cpu.registers.esp & 0xffff : s.cpu.registers.esp;
  const { memory, bytes: contents } = readOperand(s, { segment: 'ss', offset: top }, slots * bytes);
  if (!contents) return { memory };
  const selector = wordAt(contents, (slots - 1) * bytes);
  if (slots === 1) return { memory, selector };
  return { memory, selector, offset: bytes === 2 ? wordAt(contents, 0) : dwordAt(contents, 0) };
}

export function segmentOperand(
  s: Situation,
  register: SegmentName | 'ldtr' | 'tr',
): SegmentOperand | undefined {
  const from = source(s);
  if (!from) return undefined;
  const { selector, offset, memory } = from;
  return {
    type: 'segment',
    register,
    ...(memory && { memory }),
    ...(selector !== undefined && { selector }),
    ...(offset !== undefined && { offset }),
    ...(selector !== undefined && describeSelector(s, register, selector)),
  };
}
