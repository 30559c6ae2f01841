/** What each silent instruction gives the kernel here, beside what it gives on a PC in ring 0. Pure; before it runs. */
import { CR4_VME } from '../control-bits.ts';
import type { CpuidResult } from '../cpu-models/index.ts';
import { FLAG_VM, type FlagRow, flagRows, poppedFlags, pushedFlags } from '../flags.ts';
import { isNullSelector, type SegmentName, selectorRpl } from '../segmentation.ts';
import { iretSlots, requestedFlags, stackSlot } from '../sensitive/flags.ts';
import { lookUp, memorySelector } from '../sensitive/segments.ts';
import type { Situation } from '../sensitive/verdict.ts';
import { type BareHardware, operandSelector } from './bare-hardware.ts';
import { type DescriptorQuery, queryDescriptor } from './descriptor-query.ts';
import { compare, type Looker } from './looker.ts';
import type { Comparison, Sight } from './observation.ts';
import { farReturn, farTransfer, interrupt, sysenter, taskSwitch, transfer } from './transfers.ts';

const CPUID_HYPERVISOR = 0x80000000;
/** The range that Intel and AMD leave to hypervisors. */
const HYPERVISOR_LEAVES = { from: 0x40000000, to: 0x4fffffff } as const;
const WORD = 0xffff;

const context = (s: Situation, cpl: number) => ({
  cpl,
  operandSize: s.instruction.operandSize,
  vm86: (s.cpu.eflags & FLAG_VM) !== 0,
  vme: (s.cpu.control.cr4 & CR4_VME) !== 0,
});

const pushf: Looker = (s, bare) => {
  const { operandSize } = s.instruction;
  const image = pushedFlags(context(s, s.cpu.cpl), s.cpu.eflags);
  const there = pushedFlags({ ...context(s, 0), vm86: false }, bare.flags(s.cpu.eflags));
  if (image.kind === 'fault' || there.kind === 'fault') return undefined;
  return compare(
    { what: 'flags', image: image.value, operandSize },
    { what: 'flags', image: there.value, operandSize },
  );
};

const isInterruptFlag = ({ flag, requested, after }: FlagRow): boolean =>
  (flag === 'IF' || flag === 'IOPL') && requested !== after;

/** What is lost is what the two differ in: what EFLAGS was before is no difference. */
function loaded(
  s: Situation,
  bare: BareHardware,
  kind: 'popf' | 'iret',
  image: number,
): Comparison | undefined {
  const before = s.cpu.eflags;
  const requested = requestedFlags(s, image);
  const here = poppedFlags(kind, context(s, s.cpu.cpl), before, requested);
  const start = bare.flags(before);
  const there = poppedFlags(kind, { ...context(s, 0), vm86: false }, start, requested);
  if (here.kind === 'fault' || there.kind === 'fault') return undefined;
  const lost = flagRows(before, requested, here.value).filter(isInterruptFlag);
  return {
    saw: { what: 'flags-loaded', before, requested, after: here.value },
    bare: { what: 'flags-loaded', before: start, requested, after: there.value },
    differs: here.value !== there.value,
    ...(lost.length === 0 ? {} : { lost }),
  };
}

const popf: Looker = (s, bare) => {
  const image = stackSlot(s, 0);
  return image === undefined ? undefined : loaded(s, bare, 'popf', image);
};

const iret: Looker = (s, bare) => {
  const frame = iretSlots(s);
  if (!frame) return undefined;
  const flags = loaded(s, bare, 'iret', frame.flags);
  if (!flags || flags.differs) return flags;
  const transferred = transfer(s, bare, frame.selector, selectorRpl(frame.selector));
  return transferred.differs ? transferred : flags;
};

const sgdt: Looker = (s, bare) => {
  const { base, limit } = s.cpu.gdtr;
  const saw: Sight = { what: 'table', base, limit };
  return compare(saw, bare.gdtr ? { what: 'table', ...bare.gdtr } : { what: 'boot-loader-table' });
};

const sidt: Looker = (s, bare) => {
  const { base, limit } = s.cpu.idtr;
  return compare({ what: 'table', base, limit }, { what: 'table', ...bare.idtr });
};

const sldt: Looker = (s, bare) =>
  compare(
    { what: 'selector', register: 'ldtr', selector: s.cpu.ldtr.selector },
    { what: 'selector', register: 'ldtr', selector: bare.ldtr },
  );

const str: Looker = (s, bare) =>
  compare(
    { what: 'selector', register: 'tr', selector: s.cpu.tr.selector },
    { what: 'selector', register: 'tr', selector: bare.tr },
  );

const smsw: Looker = (s, bare) => {
  // A memory operand is a word whatever the operand size: SDM vol. 2, SMSW.
  const operandSize = s.instruction.memory.length > 0 ? 16 : s.instruction.operandSize;
  const mask = operandSize === 16 ? WORD : 0xffffffff;
  return compare(
    { what: 'cr0', value: (s.cpu.control.cr0 & mask) >>> 0, operandSize },
    { what: 'cr0', value: (bare.cr0 & mask) >>> 0, operandSize },
  );
};

/** MOV and PUSH of a segment register. */
const readSegment: Looker = (s, bare) => {
  const register = s.instruction.segmentRegister;
  if (!register) return undefined;
  const { selector } = s.cpu.segments[register];
  return compare(
    { what: 'selector', register, selector },
    { what: 'selector', register, selector: bare.held(register, selector) },
  );
};

function loadedSegment(
  s: Situation,
  bare: BareHardware,
  register: SegmentName,
  selector: number,
): Comparison {
  const there = bare.selector(selector);
  if (isNullSelector(selector)) {
    return compare(
      { what: 'segment-loaded', register, selector },
      { what: 'segment-loaded', register, selector: there },
    );
  }
  const dpl = lookUp(s, selector).descriptor?.dpl;
  return compare(
    { what: 'segment-loaded', register, selector, ...(dpl === undefined ? {} : { dpl }) },
    { what: 'segment-loaded', register, selector: there, dpl: 0 },
  );
}

/** MOV, POP, LDS … of a segment register. */
const loadSegment: Looker = (s, bare) => {
  const { sensitivity, mnemonic, memory, generalRegister, operandSize } = s.instruction;
  if (sensitivity?.type !== 'segment-load') return undefined;
  const { register } = sensitivity;
  if (register === 'ldtr' || register === 'tr') return undefined;
  const operand = memory.find(use => use.read);
  const offset = mnemonic === 'mov' ? 0 : operandSize / 8;
  const selector =
    mnemonic === 'pop'
      ? stackSlot(s, 0)
      : operand
        ? memorySelector(s, operand, offset)
        : generalRegister && s.cpu.registers[generalRegister];
  return selector === undefined ? undefined : loadedSegment(s, bare, register, selector & WORD);
};

const query =
  (kind: DescriptorQuery): Looker =>
  s => {
    const { sourceRegister, memory } = s.instruction;
    const isLoad = kind === 'lar' || kind === 'lsl';
    const operand = memory.find(use => use.read);
    const selector = operand
      ? memorySelector(s, operand, 0)
      : isLoad
        ? sourceRegister && s.cpu.registers[sourceRegister] & WORD
        : operandSelector(s);
    if (selector === undefined) return undefined;
    const { descriptor } = lookUp(s, selector);
    const mask = s.instruction.operandSize === 16 ? WORD : 0xffffffff;
    const at = (cpl: number): Sight => {
      const { zf, value } = queryDescriptor(
        kind,
        selector,
        isNullSelector(selector) ? undefined : descriptor,
        cpl,
      );
      return {
        what: 'descriptor',
        selector,
        zf,
        ...(value === undefined ? {} : { value: (value & mask) >>> 0 }),
      };
    };
    return compare(at(s.cpu.cpl), at(0));
  };

const cpuid: Looker = s => {
  const { eax: leaf, ecx: subleaf } = s.cpu.registers;
  const here = s.model.cpuid(leaf, subleaf);
  const sight = ({ eax, ebx, ecx, edx }: CpuidResult): Sight => {
    const hypervisor = leaf === 1 ? { hypervisor: (ecx & CPUID_HYPERVISOR) !== 0 } : {};
    return { what: 'cpuid', leaf, eax, ebx, ecx, edx, ...hypervisor };
  };
  return compare(sight(here), sight(bareCpuid(s, here)));
};

/** No hypervisor bit; a hypervisor's leaves are beyond the last one, and answered as that one is. SDM vol. 2, CPUID. */
function bareCpuid(s: Situation, here: CpuidResult): CpuidResult {
  const { eax: leaf, ecx: subleaf } = s.cpu.registers;
  if (leaf === 1) return { ...here, ecx: (here.ecx & ~CPUID_HYPERVISOR) >>> 0 };
  if (leaf < HYPERVISOR_LEAVES.from || leaf > HYPERVISOR_LEAVES.to) return here;
  return s.model.cpuid(s.model.cpuid(0, 0).eax, subleaf);
}

/** Outside ring 0 XGETBV gives what it gives in ring 0. Nothing here can change XCR0 from its value at reset. */
const xgetbv: Looker = s => {
  const number = s.cpu.registers.ecx;
  return compare({ what: 'xcr', number, value: 1 }, { what: 'xcr', number, value: 1 });
};

const LOOKERS: Readonly<Record<string, Looker>> = {
  popf,
  pushf,
  iret,
  sgdt,
  sidt,
  sldt,
  str,
  smsw,
  lar: query('lar'),
  lsl: query('lsl'),
  verr: query('verr'),
  verw: query('verw'),
  'mov-from-segment': readSegment,
  'push-segment': readSegment,
  'mov-to-segment': loadSegment,
  'pop-segment': loadSegment,
  'load-far-pointer': loadSegment,
  'far-jump': farTransfer,
  'far-call': farTransfer,
  'far-return': farReturn,
  int: interrupt,
  sysenter,
  cpuid,
  xgetbv,
  'task-switch': taskSwitch,
};

/**
 * @param rule id of the silent rule that names the instruction
 * @returns `undefined` where what it works on cannot be read: it is about to fault
 */
export const compareWithBareHardware = (
  rule: string,
  s: Situation,
  bare: BareHardware,
): Comparison | undefined => LOOKERS[rule]?.(s, bare);
