import type { SegmentName } from '../segmentation.ts';
import { iced } from './iced.ts';

const { Code, EncodingKind, Instruction, InstructionInfoFactory, OpAccess, Register } = iced;

/** Why an instruction has to be looked at before it runs; what that means is decided in `sensitive/`. */
export type Sensitivity =
  /** Named by a privilege rule. */
  | { readonly type: 'rule'; readonly rule: string }
  /** Loads a segment register, LDTR or TR. */
  | { readonly type: 'segment-load'; readonly register: SegmentName | 'ldtr' | 'tr'; readonly rule?: string }
  /** Far JMP, CALL, RET: loads CS. */
  | { readonly type: 'far-transfer' }
  | { readonly type: 'iret' }
  | { readonly type: 'software-interrupt' }
  | { readonly type: 'vm-call'; readonly via: 'vmcall' | 'vmmcall' }
  /** SYSENTER, SYSEXIT: Unicorn checks no MSR. */
  | { readonly type: 'fast-call' }
  /** Answered by the Machine, the same on every engine. */
  | {
      readonly type: 'answered';
      readonly what:
        | 'cpuid'
        | 'rdtsc'
        | 'rdtscp'
        | 'rdrand'
        | 'rdseed'
        | 'rdmsr'
        | 'wrmsr'
        | 'rdpmc'
        | 'xgetbv';
    }
  /** Reads a descriptor without loading it: LAR, LSL, VERR, VERW. */
  | { readonly type: 'descriptor-read' }
  | { readonly type: 'undefined' }
  /** Looks at memory that it does not touch. */
  | { readonly type: 'enter' }
  /** More than 15 bytes. */
  | { readonly type: 'too-long' }
  /** An explicit %fs or %gs prefix, looked at while that segment is not flat; or a write through %cs. */
  | { readonly type: 'segment-prefix'; readonly register: 'fs' | 'gs' | 'cs' };

const rule = (id: string): Sensitivity => ({ type: 'rule', rule: id });
const segment = (register: SegmentName): Sensitivity => ({ type: 'segment-load', register });
const answered = (what: Extract<Sensitivity, { type: 'answered' }>['what']): Sensitivity => ({
  type: 'answered',
  what,
});

/** By iced's Code name; a trailing `*` stands for any ending. `Mov_Sreg` and `Pop` get their register below. */
const TABLE: readonly (readonly [pattern: string, Sensitivity])[] = [
  ['Lgdt_*', rule('lgdt')],
  ['Lidt_*', rule('lidt')],
  ['Lldt_*', { type: 'segment-load', register: 'ldtr', rule: 'lldt' }],
  ['Ltr_*', { type: 'segment-load', register: 'tr', rule: 'ltr' }],
  ['Lmsw_*', rule('lmsw')],
  ['Mov_cr_r32', rule('mov-to-cr')],
  ['Mov_r32_cr', rule('mov-from-cr')],
  ['Mov_dr_r32', rule('mov-to-dr')],
  ['Mov_r32_dr', rule('mov-from-dr')],
  ['Clts', rule('clts')],
  ['Invd', rule('invd')],
  ['Wbinvd', rule('wbinvd')],
  ['Wbnoinvd', rule('wbinvd')],
  ['Invlpg_m', rule('invlpg')],
  ['Hlt', rule('hlt')],
  ['Xsetbv', rule('xsetbv')],
  ['Rdmsr', answered('rdmsr')],
  ['Wrmsr', answered('wrmsr')],
  ['Rdpmc', answered('rdpmc')],
  ['Rdtsc', answered('rdtsc')],
  ['Rdtscp', answered('rdtscp')],
  ['Rdrand_*', answered('rdrand')],
  ['Rdseed_*', answered('rdseed')],
  ['Cpuid', answered('cpuid')],
  ['Xgetbv', answered('xgetbv')],
  ['Cli', rule('cli')],
  ['Sti', rule('sti')],
  ['In_*', rule('in')],
  ['Out_*', rule('out')],
  ['Insb_*', rule('ins')],
  ['Insw_*', rule('ins')],
  ['Insd_*', rule('ins')],
  ['Outsb_*', rule('outs')],
  ['Outsw_*', rule('outs')],
  ['Outsd_*', rule('outs')],
  ['Sgdt_*', rule('sgdt')],
  ['Sidt_*', rule('sidt')],
  ['Sldt_*', rule('sldt')],
  ['Str_*', rule('str')],
  ['Smsw_*', rule('smsw')],
  ['Pushfw', rule('pushf')],
  ['Pushfd', rule('pushf')],
  ['Popfw', rule('popf')],
  ['Popfd', rule('popf')],
  ['Iretw', { type: 'iret' }],
  ['Iretd', { type: 'iret' }],
  ['Sysenter', { type: 'fast-call' }],
  ['Sysexitd', { type: 'fast-call' }],
  ['Int_imm8', { type: 'software-interrupt' }],
  ['Int3', { type: 'software-interrupt' }],
  ['Into', { type: 'software-interrupt' }],
  ['Int1', { type: 'software-interrupt' }],
  ['Vmcall', { type: 'vm-call', via: 'vmcall' }],
  ['Vmmcall', { type: 'vm-call', via: 'vmmcall' }],
  ['Enterw_*', { type: 'enter' }],
  ['Enterd_*', { type: 'enter' }],
  ['Ud0*', { type: 'undefined' }],
  ['Ud1*', { type: 'undefined' }],
  ['Ud2', { type: 'undefined' }],
  // No CPU model here has them, or (RSM) is in system management mode; the engines run some of them all the same.
  ...[
    'Monitorw',
    'Monitord',
    'Mwait',
    'Clac',
    'Stac',
    'Rsm',
    'Vm*',
    'Invept_*',
    'Invvpid_*',
    'Invpcid_*',
    'Getsec*',
    'Clgi',
    'Stgi',
    'Skinit',
    'Invlpga*',
    'Xbegin_*',
    'Xabort_*',
    'Xend',
    'Xtest',
  ].map((pattern): [string, Sensitivity] => [pattern, { type: 'undefined' }]),
  // AMD only outside long mode; both builds run it.
  ['Syscall', { type: 'undefined' }],
  ['Sysret*', { type: 'undefined' }],
  ['Lar_*', { type: 'descriptor-read' }],
  ['Lsl_*', { type: 'descriptor-read' }],
  ['Verr_*', { type: 'descriptor-read' }],
  ['Verw_*', { type: 'descriptor-read' }],
  ['Jmp_ptr*', { type: 'far-transfer' }],
  ['Jmp_m16*', { type: 'far-transfer' }],
  ['Call_ptr*', { type: 'far-transfer' }],
  ['Call_m16*', { type: 'far-transfer' }],
  ['Retfw*', { type: 'far-transfer' }],
  ['Retfd*', { type: 'far-transfer' }],
  ['Les_*', segment('es')],
  ['Lds_*', segment('ds')],
  ['Lss_*', segment('ss')],
  ['Lfs_*', segment('fs')],
  ['Lgs_*', segment('gs')],
  ['Popw_ES', segment('es')],
  ['Popd_ES', segment('es')],
  ['Popw_SS', segment('ss')],
  ['Popd_SS', segment('ss')],
  ['Popw_DS', segment('ds')],
  ['Popd_DS', segment('ds')],
  ['Popw_FS', segment('fs')],
  ['Popd_FS', segment('fs')],
  ['Popw_GS', segment('gs')],
  ['Popd_GS', segment('gs')],
];

/** MOV to a segment register, by its register field; MOV to CS is #UD and is left to the CPU. */
const MOV_TO_SEGMENT = new Set<number>([Code.Mov_Sreg_rm16, Code.Mov_Sreg_r32m16]);

/** No such instruction: both builds run some of them all the same. */
export const UNDEFINED: Sensitivity = { type: 'undefined' };
export const TOO_LONG: Sensitivity = { type: 'too-long' };

const exact = new Map(TABLE.filter(([pattern]) => !pattern.endsWith('*')));
const prefixes = TABLE.filter(([pattern]) => pattern.endsWith('*')).map(
  ([pattern, sensitivity]) => [pattern.slice(0, -1), sensitivity] as const,
);

/** What {@link namedSensitivity} found; there are thousands of codes, and a kernel uses few. */
const sensitivityByCode: (Sensitivity | null)[] = [];

function sensitivityOfCode(code: number): Sensitivity | undefined {
  let known = sensitivityByCode[code];
  if (known === undefined) {
    known = namedSensitivity(Code[code] ?? '') ?? null;
    sensitivityByCode[code] = known;
  }
  return known ?? undefined;
}

function namedSensitivity(name: string): Sensitivity | undefined {
  return exact.get(name) ?? prefixes.find(([prefix]) => name.startsWith(prefix))?.[1];
}

/** Patterns of the table that no opcode of iced-x86 has: none, as long as it is the version that the table is for. */
export function unmatchedPatterns(): string[] {
  const names = Object.keys(Code);
  return TABLE.map(([pattern]) => pattern).filter(pattern =>
    pattern.endsWith('*')
      ? !names.some(name => name.startsWith(pattern.slice(0, -1)))
      : !names.includes(pattern),
  );
}

export const SEGMENT_BY_REGISTER: Readonly<Record<number, SegmentName>> = {
  [Register.ES]: 'es',
  [Register.CS]: 'cs',
  [Register.SS]: 'ss',
  [Register.DS]: 'ds',
  [Register.FS]: 'fs',
  [Register.GS]: 'gs',
};

export type IcedInstruction = InstanceType<typeof Instruction>;

export function sensitivityOf(instruction: IcedInstruction): Sensitivity | undefined {
  const code = instruction.code;
  if (MOV_TO_SEGMENT.has(code)) {
    const register = SEGMENT_BY_REGISTER[instruction.op0Register];
    return register && register !== 'cs' ? segment(register) : undefined;
  }
  const found = sensitivityOfCode(code);
  if (found) return found;
  // No CPU model here has AVX; both builds run some of it all the same.
  if (instruction.encoding !== EncodingKind.Legacy) return UNDEFINED;
  return prefixOf(instruction);
}

const FS_PREFIX: Sensitivity = { type: 'segment-prefix', register: 'fs' };
const GS_PREFIX: Sensitivity = { type: 'segment-prefix', register: 'gs' };
const CS_WRITE: Sensitivity = { type: 'segment-prefix', register: 'cs' };

/** The prefix also stands before branches and in padding, where it means nothing. */
function writesMemory(instruction: IcedInstruction): boolean {
  const factory = new InstructionInfoFactory();
  const info = factory.info(instruction);
  const writes = info.usedMemory().some(use => {
    const { access } = use;
    use.free();
    return access === OpAccess.Write || access === OpAccess.ReadWrite || access === OpAccess.CondWrite;
  });
  info.free();
  factory.free();
  return writes;
}

export function prefixOf(instruction: IcedInstruction): Sensitivity | undefined {
  const prefix = instruction.segmentPrefix;
  if (prefix === Register.FS) return FS_PREFIX;
  if (prefix === Register.CS) return writesMemory(instruction) ? CS_WRITE : undefined;
  return prefix === Register.GS ? GS_PREFIX : undefined;
}

/** A string instruction with REP, REPE or REPNE. */
export function isRepeated(instruction: IcedInstruction): boolean {
  return instruction.isStringInstruction && (instruction.hasRepPrefix || instruction.hasRepnePrefix);
}
