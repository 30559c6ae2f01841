/** What decides whether a sensitive instruction can simply run: a few bits of CPU state that change rarely. */

import { CR0_PG, CR4_PVI, CR4_UMIP, CR4_VME } from '../control-bits.ts';
import type { CpuState, Ring } from '../cpu-state.ts';
import type { Sensitivity } from '../decode/sensitivity.ts';
import type { CodeBits } from '../decode/sizes.ts';
import { FLAG_AC, FLAG_VIF, FLAG_VIP, FLAG_VM, iopl } from '../flags.ts';
import { findRule } from '../privilege/index.ts';
import { isFlat, isReadable, isWritable, SEGMENT_NAMES, type SegmentName } from '../segmentation.ts';

export interface PrivilegeState {
  /** Equal for equal states: identifies what a plan was made for. */
  readonly key: number;
  readonly cpl: Ring;
  readonly iopl: number;
  readonly cr0: number;
  readonly cr4: number;
  /** EFLAGS.VM. */
  readonly vm86: boolean;
  /** The GDTR names no table. */
  readonly noGdt: boolean;
  /** Segments through which an access can fault: not flat, or flat and not writable (CS: not readable). */
  readonly notFlat: ReadonlySet<SegmentName>;
  readonly bits: CodeBits;
  /** Of CS, when it ends before 4 GiB: fetches and branches are checked against it. */
  readonly codeLimit: number | undefined;
  /** Base of CS: what code addresses are more than offsets. */
  readonly codeBase: number;
  /** CR0.AM and EFLAGS.AC at CPL 3: every access is checked. */
  readonly alignment: boolean;
  /** VIF and VIP where they count: #GP(0) before the next instruction. SDM vol. 3, 20.3.2 and 20.4. */
  readonly virtualInterruptDue: boolean;
}

/** SDM vol. 3, 2.5. */
const CR0_AM = 1 << 18;
const NO_LIMIT = 0xffffffff;

/** A GDT needs room for one descriptor after the null one (SDM vol. 3, 3.5.1). */
const SMALLEST_GDT_LIMIT = 15;

export function privilegeState(cpu: CpuState): PrivilegeState {
  const notFlat = new Set(
    SEGMENT_NAMES.filter(name => {
      const { descriptor } = cpu.segments[name];
      if (!descriptor || !isFlat(descriptor)) return true;
      return name === 'cs' ? !isReadable(descriptor) : !isWritable(descriptor);
    }),
  );
  const noGdt = cpu.gdtr.limit < SMALLEST_GDT_LIMIT;
  const code = cpu.segments.cs.descriptor;
  const vm86 = (cpu.eflags & FLAG_VM) !== 0;
  const bits: CodeBits = vm86 || !code?.big ? 16 : 32;
  const level = iopl(cpu.eflags);
  const mask = SEGMENT_NAMES.reduce((m, name, i) => (notFlat.has(name) ? m | (1 << i) : m), 0);
  const alignment = cpu.cpl === 3 && (cpu.control.cr0 & CR0_AM) !== 0 && (cpu.eflags & FLAG_AC) !== 0;
  const virtualInterruptDue = isVirtualInterruptDue(cpu, vm86);
  const end = code?.limit ?? NO_LIMIT;
  const codeLimit = end === NO_LIMIT ? undefined : end;
  const low =
    cpu.cpl |
    (level << 2) |
    (noGdt ? 1 << 4 : 0) |
    (bits === 16 ? 1 << 5 : 0) |
    (mask << 6) |
    (cr4Bits(cpu.control.cr4) << 12) |
    (vm86 ? 1 << 17 : 0) |
    (alignment ? 1 << 18 : 0) |
    (virtualInterruptDue ? 1 << 19 : 0);
  // Beyond the 32 bits of the others: a double has room for both.
  const key = low + (codeLimit === undefined ? 0 : (codeLimit + 1) * 2 ** 20);
  const { cr0, cr4 } = cpu.control;
  return {
    key,
    cpl: cpu.cpl,
    iopl: level,
    cr0,
    cr4,
    vm86,
    noGdt,
    notFlat,
    bits,
    codeLimit,
    codeBase: code?.base ?? 0,
    alignment,
    virtualInterruptDue,
  };
}

function isVirtualInterruptDue({ eflags, control, cpl }: CpuState, vm86: boolean): boolean {
  if ((eflags & FLAG_VIF) === 0 || (eflags & FLAG_VIP) === 0) return false;
  return vm86 ? (control.cr4 & CR4_VME) !== 0 : cpl === 3 && (control.cr4 & CR4_PVI) !== 0;
}

/** CR4 bits that privilege rules look at: VME, PVI, TSD (2:0), PCE (8), UMIP (11). SDM vol. 3, 2.5. */
const cr4Bits = (cr4: number): number => (cr4 & 7) | ((cr4 >>> 5) & 8) | ((cr4 >>> 7) & 16);

/** What the Machine itself needs to see, whatever the privilege. */
export interface Watch {
  /** The loader's GDT is guarded: the CPU's own reads of it have to be let through. */
  readonly descriptorReads: boolean;
  /** The engine translates only 1:1: changes of the mapping have to be followed. */
  readonly mappingChanges: boolean;
}

/** Seen at CPL 0 too: they end the run, or change what the Machine has to know. */
const AT_EVERY_LEVEL = new Set(['hlt', 'mov-to-cr', 'lgdt', 'lmsw', 'xsetbv', 'mov-to-dr', 'mov-from-dr']);

const PORTS: ReadonlySet<string> = new Set(['in', 'out', 'ins', 'outs']);

/** Kept to ring 0 by CR4.UMIP: SDM vol. 3, 2.5. */
export const UMIP_RULES: ReadonlySet<string> = new Set(['sgdt', 'sidt', 'sldt', 'str', 'smsw']);

export const isUmipFault = (state: PrivilegeState): boolean =>
  state.cpl !== 0 && (state.cr4 & CR4_UMIP) !== 0;

/** Whether the run has to stop before an instruction of this kind, in this state. */
export function mustStop(sensitivity: Sensitivity, state: PrivilegeState, watch: Watch): boolean {
  switch (sensitivity.type) {
    case 'rule':
      if (AT_EVERY_LEVEL.has(sensitivity.rule)) return true;
      if (sensitivity.rule === 'pushf' || PORTS.has(sensitivity.rule)) {
        if (state.vm86) return true;
        if (sensitivity.rule === 'pushf') return false;
      }
      if (sensitivity.rule === 'smsw') return true;
      if (UMIP_RULES.has(sensitivity.rule)) return isUmipFault(state);
      if (sensitivity.rule === 'invlpg' && watch.mappingChanges) return true;
      return findRule(sensitivity.rule)?.applies(state) ?? false;
    case 'segment-prefix':
      return sensitivity.register === 'cs' || state.notFlat.has(sensitivity.register);
    case 'descriptor-read':
      return watch.descriptorReads;
    case 'enter':
      // What it looks at is there, where all memory is.
      return (state.cr0 & CR0_PG) !== 0 || state.notFlat.has('ss');
    default:
      return true;
  }
}
