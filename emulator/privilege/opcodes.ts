/** Which rule an instruction falls under, by its opcode. What stops a run is decided elsewhere (`decode/sensitivity.ts`). */
import { iced } from '../decode/iced.ts';

const { Code, CodeExt, Decoder, DecoderOptions } = iced;

/** By iced's Code name; a trailing `*` stands for any ending. Of two that match, the first counts. */
const TABLE: readonly (readonly [rule: string, ...patterns: string[]])[] = [
  ['lgdt', 'Lgdt_*'],
  ['lldt', 'Lldt_*'],
  ['ltr', 'Ltr_*'],
  ['lidt', 'Lidt_*'],
  ['mov-to-cr', 'Mov_cr_r32'],
  ['mov-from-cr', 'Mov_r32_cr'],
  ['lmsw', 'Lmsw_*'],
  ['clts', 'Clts'],
  ['mov-to-dr', 'Mov_dr_r32'],
  ['mov-from-dr', 'Mov_r32_dr'],
  ['mov-test-register', 'Mov_r32_tr', 'Mov_tr_r32'],
  ['invd', 'Invd'],
  ['wbinvd', 'Wbinvd', 'Wbnoinvd'],
  ['invlpg', 'Invlpg_m'],
  ['hlt', 'Hlt'],
  ['rdmsr', 'Rdmsr'],
  ['wrmsr', 'Wrmsr'],
  ['xsetbv', 'Xsetbv'],
  ['sysexit', 'Sysexitd'],
  ['rdpmc', 'Rdpmc'],
  ['rdtsc', 'Rdtsc', 'Rdtscp'],
  ['monitor', 'Monitord', 'Monitorw'],
  ['mwait', 'Mwait'],
  ['clac', 'Clac'],
  ['stac', 'Stac'],
  ['rsm', 'Rsm'],
  ['vmcall', 'Vmcall'],
  ['vmmcall', 'Vmmcall'],
  ['invpcid', 'Invpcid_r32_m128'],
  ['xsaves', 'Xsaves_mem'],
  ['xrstors', 'Xrstors_mem'],
  ['getsec', 'Getsecd'],
  ['encls', 'Encls'],
  ['syscall', 'Syscall'],
  ['sysret', 'Sysretd'],
  ['vmxon', 'Vmxon_m64'],
  ['vmfunc', 'Vmfunc'],
  ['vmx', 'Vmlaunch', 'Vmresume', 'Vmxoff', 'Vmread_rm32_r32', 'Vmwrite_r32_rm32', 'Vmptrld_m64'],
  ['vmx', 'Vmptrst_m64', 'Vmclear_m64', 'Invept_r32_m128', 'Invvpid_r32_m128'],
  ['svm', 'Vmrun*', 'Vmload*', 'Vmsave*', 'Stgi', 'Clgi', 'Skinit', 'Invlpgaw', 'Invlpgad'],
  ['cli', 'Cli'],
  ['sti', 'Sti'],
  ['in', 'In_*'],
  ['out', 'Out_*'],
  ['ins', 'Insb_*', 'Insw_*', 'Insd_*'],
  ['outs', 'Outsb_*', 'Outsw_*', 'Outsd_*'],
  ['sgdt', 'Sgdt_*'],
  ['sidt', 'Sidt_*'],
  ['sldt', 'Sldt_*'],
  ['smsw', 'Smsw_*'],
  ['pushf', 'Pushfw', 'Pushfd'],
  ['popf', 'Popfw', 'Popfd'],
  ['lar', 'Lar_*'],
  ['lsl', 'Lsl_*'],
  ['verr', 'Verr_*'],
  ['verw', 'Verw_*'],
  ['pop-segment', 'Popw_ES', 'Popw_SS', 'Popw_DS', 'Popw_FS', 'Popw_GS'],
  ['pop-segment', 'Popd_ES', 'Popd_SS', 'Popd_DS', 'Popd_FS', 'Popd_GS'],
  ['push-segment', 'Pushw_ES', 'Pushw_CS', 'Pushw_SS', 'Pushw_DS', 'Pushw_FS', 'Pushw_GS'],
  ['push-segment', 'Pushd_ES', 'Pushd_CS', 'Pushd_SS', 'Pushd_DS', 'Pushd_FS', 'Pushd_GS'],
  ['far-call', 'Call_ptr*', 'Call_m16*'],
  ['far-jump', 'Jmp_ptr*', 'Jmp_m16*'],
  ['int', 'Int_imm8', 'Int3', 'Into', 'Int1'],
  ['far-return', 'Retfw*', 'Retfd*'],
  ['str', 'Str_*'],
  ['mov-from-segment', 'Mov_rm16_Sreg', 'Mov_r32m16_Sreg'],
  ['mov-to-segment', 'Mov_Sreg_rm16', 'Mov_Sreg_r32m16'],
  ['load-far-pointer', 'Lds_*', 'Les_*', 'Lfs_*', 'Lgs_*', 'Lss_*'],
  ['iret', 'Iretw', 'Iretd'],
  ['sysenter', 'Sysenter'],
  ['cpuid', 'Cpuid'],
  ['xgetbv', 'Xgetbv'],
];

const exact = new Map<string, string>();
const prefixes: (readonly [prefix: string, rule: string])[] = [];
for (const [rule, ...patterns] of TABLE) {
  for (const pattern of patterns) {
    if (pattern.endsWith('*')) prefixes.push([pattern.slice(0, -1), rule]);
    else exact.set(pattern, rule);
  }
}

const ruleOfName = (name: string): string | undefined =>
  exact.get(name) ?? prefixes.find(([prefix]) => name.startsWith(prefix))?.[1];

/** What {@link ruleOfName} found; a kernel uses few of the codes. */
const ruleByCode: (string | null)[] = [];

/** The rule of an instruction decoded with iced-x86, by its `code`; `undefined` for one that no rule is about. */
export function ruleOfCode(code: number): string | undefined {
  let known = ruleByCode[code];
  if (known === undefined) {
    known = ruleOfName(Code[code] ?? '') ?? null;
    ruleByCode[code] = known;
  }
  return known ?? undefined;
}

/** Patterns of the table that no opcode of iced-x86 has. */
export function unmatchedOpcodes(): string[] {
  const names = Object.keys(Code);
  return [
    ...[...exact.keys()].filter(name => !names.includes(name)),
    ...prefixes.map(([prefix]) => prefix).filter(prefix => !names.some(name => name.startsWith(prefix))),
  ];
}

export interface RuledInstruction {
  /** Absent for an instruction that no rule is about. */
  readonly rule?: string;
  /** Absent where a rule says it: whether it runs at any CPL. */
  readonly everyCpl?: boolean;
  /** Bytes. */
  readonly length: number;
}

/** As iced-x86 knows it, of instructions that no rule is about. */
function runsAtEveryCpl(code: number): boolean {
  const info = CodeExt.opCode(code);
  try {
    return info.cpl0 && info.cpl1 && info.cpl2 && info.cpl3;
  } finally {
    info.free();
  }
}

/**
 * The rule of the instruction at the start of `bytes`.
 *
 * @param bits of the code segment
 * @returns `undefined` for bytes that are no whole instruction
 */
export function ruleOfInstruction(bytes: Uint8Array, bits: 16 | 32 = 32): RuledInstruction | undefined {
  // MOV to and from TRn is decoded only when it is asked for.
  const decoder = new Decoder(bits, bytes.subarray(0, 15), DecoderOptions.MovTr);
  const instruction = decoder.decode();
  try {
    if (instruction.isInvalid) return undefined;
    const rule = ruleOfCode(instruction.code);
    return {
      length: instruction.length,
      ...(rule === undefined ? { everyCpl: runsAtEveryCpl(instruction.code) } : { rule }),
    };
  } finally {
    instruction.free();
    decoder.free();
  }
}
