/** What decides whether a sensitive instruction can simply run: a few bits of CPU state that change rarely. */
import type { CpuState, Ring } from '../cpu-state.ts';
import { FLAG_VM, iopl } from '../flags.ts';
import type { CodeBits } from '../instructions.ts';
import { findRule } from '../privilege/index.ts';
import { isFlat, isReadable, isWritable, SEGMENT_NAMES, type SegmentName } from '../segmentation.ts';
import type { Sensitivity } from '../sensitivity.ts';

export interface PrivilegeState {
  /** Equal for equal states: identifies what a plan was made for. */
  readonly key: number;
  readonly cpl: Ring;
  readonly iopl: number;
  readonly cr0: number;
  readonly cr4: number;
  /** The GDTR names no table. */
  readonly noGdt: boolean;
  /** Segments through which an access can fault: not flat, or flat and not writable (CS: not readable). */
  readonly notFlat: ReadonlySet<SegmentName>;
  readonly bits: CodeBits;
}

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
  const bits: CodeBits = (cpu.eflags & FLAG_VM) !== 0 || !code?.big ? 16 : 32;
  const level = iopl(cpu.eflags);
  const mask = SEGMENT_NAMES.reduce((m, name, i) => (notFlat.has(name) ? m | (1 << i) : m), 0);
  const key =
    cpu.cpl |
    (level << 2) |
    (noGdt ? 1 << 4 : 0) |
    (bits === 16 ? 1 << 5 : 0) |
    (mask << 6) |
    (cr4Bits(cpu.control.cr4) << 12);
  return { key, cpl: cpu.cpl, iopl: level, cr0: cpu.control.cr0, cr4: cpu.control.cr4, noGdt, notFlat, bits };
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
const AT_EVERY_LEVEL = new Set(['hlt', 'mov-to-cr', 'lgdt', 'lmsw', 'xsetbv']);

/** Whether the run has to stop before an instruction of this kind, in this state. */
export function mustStop(sensitivity: Sensitivity, state: PrivilegeState, watch: Watch): boolean {
  switch (sensitivity.type) {
    case 'rule':
      if (AT_EVERY_LEVEL.has(sensitivity.rule)) return true;
      if (sensitivity.rule === 'invlpg' && watch.mappingChanges) return true;
      return findRule(sensitivity.rule)?.applies(state) ?? false;
    case 'segment-prefix':
      return sensitivity.register === 'cs' || state.notFlat.has(sensitivity.register);
    case 'descriptor-read':
      return watch.descriptorReads;
    default:
      return true;
  }
}
