/** EFLAGS (SDM vol. 1, 3.4.3), and what PUSHF, POPF and IRET really do with it (SDM vol. 2, PUSHF, POPF, IRET). */

export const FLAG_CF = 1 << 0;
/** Bit 1 always reads as 1. */
export const FLAG_RESERVED_1 = 1 << 1;
export const FLAG_PF = 1 << 2;
export const FLAG_AF = 1 << 4;
export const FLAG_ZF = 1 << 6;
export const FLAG_SF = 1 << 7;
export const FLAG_TF = 1 << 8;
export const FLAG_IF = 1 << 9;
export const FLAG_DF = 1 << 10;
export const FLAG_OF = 1 << 11;
export const FLAG_IOPL = 3 << 12;
export const FLAG_NT = 1 << 14;
export const FLAG_RF = 1 << 16;
export const FLAG_VM = 1 << 17;
export const FLAG_AC = 1 << 18;
export const FLAG_VIF = 1 << 19;
export const FLAG_VIP = 1 << 20;
export const FLAG_ID = 1 << 21;

export const iopl = (eflags: number): number => (eflags >>> 12) & 3;

/** What arithmetic instructions set. */
export const ARITHMETIC_FLAGS = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF;
/** What every POPF and IRET loads. */
const ALWAYS = ARITHMETIC_FLAGS | FLAG_TF | FLAG_DF | FLAG_NT;
/** What the 32-bit forms load besides. */
const ALWAYS_32 = FLAG_AC | FLAG_ID;
const LOW_WORD = 0xffff;

/** What decides about the flags: the mode, the levels, and how wide the instruction is. */
export interface FlagsContext {
  readonly cpl: number;
  readonly operandSize: 16 | 32;
  /** EFLAGS.VM: virtual-8086 mode, where CPL is 3. */
  readonly vm86: boolean;
  /** CR4.VME. CR4.PVI changes none of these instructions. */
  readonly vme: boolean;
}

/** The image that goes to the stack, or EFLAGS afterwards; or #GP(0), and nothing changes. */
export type FlagsOutcome =
  | { readonly kind: 'flags'; readonly value: number }
  | { readonly kind: 'fault'; readonly vector: 13; readonly errorCode: 0 };

const FAULT: FlagsOutcome = { kind: 'fault', vector: 13, errorCode: 0 };
const flags = (value: number): FlagsOutcome => ({ kind: 'flags', value: value >>> 0 });

/** The bits of `mask` from `requested`, the others from `current`. */
const load = (current: number, requested: number, mask: number): number =>
  ((current & ~mask) | (requested & mask) | FLAG_RESERVED_1) >>> 0;

/**
 * EFLAGS after POPF, or after an IRET that returns to the same privilege level (in virtual-8086 mode: to the same mode).
 *
 * @param current EFLAGS before; its IOPL is the one that counts
 * @param requested the image on the stack; with operand size 16 its upper word is not looked at
 */
export function poppedFlags(
  instruction: 'popf' | 'iret',
  context: FlagsContext,
  current: number,
  requested: number,
): FlagsOutcome {
  const wide = context.operandSize === 32;
  if (context.vm86) {
    if (iopl(current) < 3) return wide || !context.vme ? FAULT : virtualInterruptFlag(current, requested);
    return flags(
      withRf(
        instruction,
        wide,
        load(current, requested, ALWAYS | FLAG_IF | (wide ? ALWAYS_32 : 0)),
        requested,
      ),
    );
  }
  let mask = ALWAYS | (wide ? ALWAYS_32 : 0);
  if (context.cpl <= iopl(current)) mask |= FLAG_IF;
  if (context.cpl === 0) mask |= FLAG_IOPL;
  // IRETD at CPL 0 restores the virtual interrupt flags as well; POPFD never does.
  if (context.cpl === 0 && wide && instruction === 'iret') mask |= FLAG_VIF | FLAG_VIP;
  return flags(withRf(instruction, wide, load(current, requested, mask), requested));
}

/** Every instruction clears RF as it begins (SDM vol. 2, POPF, note 1 of its table); IRETD loads it from the frame. */
function withRf(instruction: 'popf' | 'iret', wide: boolean, value: number, requested: number): number {
  const cleared = value & ~FLAG_RF;
  return instruction === 'iret' && wide ? cleared | (requested & FLAG_RF) : cleared;
}

/** Virtual-8086 mode with IOPL < 3 and CR4.VME, 16-bit: IF of the image goes to VIF (SDM vol. 3, 20.3.3.5). */
function virtualInterruptFlag(current: number, requested: number): FlagsOutcome {
  const asksForInterrupts = (requested & FLAG_IF) !== 0;
  if ((requested & FLAG_TF) !== 0) return FAULT;
  if (asksForInterrupts && (current & FLAG_VIP) !== 0) return FAULT;
  const loaded = load(current, requested, ALWAYS) & ~(FLAG_VIF | FLAG_RF);
  return flags(asksForInterrupts ? loaded | FLAG_VIF : loaded);
}

/** The image that PUSHF writes: 16 or 32 bits of it. SDM vol. 2, PUSHF. */
export function pushedFlags(context: FlagsContext, current: number): FlagsOutcome {
  const { vm86, vme, operandSize } = context;
  if (vm86 && iopl(current) < 3) {
    if (!vme || operandSize === 32) return FAULT;
    const virtual = (current & FLAG_VIF) !== 0 ? FLAG_IF : 0;
    return flags(((current & ~FLAG_IF) | virtual | FLAG_IOPL) & LOW_WORD);
  }
  return flags(operandSize === 32 ? current & ~(FLAG_VM | FLAG_RF) : current & LOW_WORD);
}

/** EFLAGS after POPF or a same-privilege IRET in protected mode. */
export function flagsAfterPop(
  current: number,
  requested: number,
  cpl: number,
  operandSize: 16 | 32,
  instruction: 'popf' | 'iret' = 'popf',
): number {
  const outcome = poppedFlags(instruction, { cpl, operandSize, vm86: false, vme: false }, current, requested);
  // Outside virtual-8086 mode nothing faults.
  return outcome.kind === 'flags' ? outcome.value : current;
}

/** Every flag with its name, from bit 0 up. SDM vol. 1, figure 3-8. */
const FLAGS = [
  ['CF', FLAG_CF],
  ['PF', FLAG_PF],
  ['AF', FLAG_AF],
  ['ZF', FLAG_ZF],
  ['SF', FLAG_SF],
  ['TF', FLAG_TF],
  ['IF', FLAG_IF],
  ['DF', FLAG_DF],
  ['OF', FLAG_OF],
  ['IOPL', FLAG_IOPL],
  ['NT', FLAG_NT],
  ['RF', FLAG_RF],
  ['VM', FLAG_VM],
  ['AC', FLAG_AC],
  ['VIF', FLAG_VIF],
  ['VIP', FLAG_VIP],
  ['ID', FLAG_ID],
] as const;

export type FlagName = (typeof FLAGS)[number][0];

export interface FlagRow {
  readonly flag: FlagName;
  readonly before: number;
  readonly requested: number;
  readonly after: number;
}

/** A row for every flag that is requested to change, or that is not what was requested; from bit 0 up. */
export function flagRows(before: number, requested: number, after: number): readonly FlagRow[] {
  return FLAGS.map(([flag, mask]) => {
    const shift = 31 - Math.clz32(mask & -mask);
    const field = (value: number): number => (value & mask) >>> shift;
    return { flag, before: field(before), requested: field(requested), after: field(after) };
  }).filter(row => row.requested !== row.before || row.requested !== row.after);
}
