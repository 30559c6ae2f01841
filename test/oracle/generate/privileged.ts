/** Instructions that need CPL 0, at every CPL: SDM vol. 3, 5.9. In ring 0 only with values that change nothing that matters. */

import type { Ring } from '../../../emulator/cpu-state.ts';
import {
  DATA,
  GDT,
  GDT_LIMIT,
  IDT,
  IDT_LIMIT,
  LDT_SELECTOR,
  type OracleCase,
  SPARE,
  TSS_SELECTOR,
} from '../case.ts';
import { absolute, dword, EAX, ECX, EDX, movImmediate, OPERAND_SIZE, register, word } from './assemble.ts';
import { CaseBuilder, CR4_PCE, CR4_TSD, type Family } from './builder.ts';
import type { Draw } from './draw.ts';
import { anySelector } from './selectors.ts';

const OPERAND = DATA + 0x40;
const COPY = DATA + 0x60;

const outer = (draw: Draw): Ring => draw.pick([1, 2, 3, 3] as const);

/** LGDT and LIDT: in ring 0 another table is looked at by SGDT or SIDT, and the old one comes back. */
function tableLoad(draw: Draw): OracleCase {
  const idt = draw.chance(50);
  const b = new CaseBuilder(draw, idt ? 'lidt' : 'lgdt');
  const reg = idt ? 3 : 2;
  const old = idt ? { base: IDT, limit: IDT_LIMIT } : { base: GDT, limit: GDT_LIMIT };
  b.write(OPERAND, [...word(draw.dword()), ...dword(draw.dword())]);
  b.write(OPERAND + 8, [...word(old.limit), ...dword(old.base)]);
  if (draw.chance(20)) b.emit(OPERAND_SIZE);
  if (draw.chance(10)) return b.emit(0x0f, 0x01, register(reg, draw.int(4, 7))).end();
  b.emit(0x0f, 0x01, ...absolute(reg, OPERAND));
  b.emit(0x0f, 0x01, ...absolute(reg - 2, COPY));
  return b.emit(0x0f, 0x01, ...absolute(reg, OPERAND + 8)).end();
}

/** LLDT and LTR. The task register's own TSS is busy: loading it again is a #GP. */
function descriptorTableLoad(draw: Draw): OracleCase {
  const tr = draw.chance(50);
  const b = new CaseBuilder(draw, tr ? 'ltr' : 'lldt');
  let selector = anySelector(draw, b);
  if (draw.chance(30)) selector = tr ? TSS_SELECTOR : LDT_SELECTOR;
  // A segment that is not what a task segment needs to be would be where exceptions look for their stack.
  if (tr && b.ring === 0) selector = draw.pick([0, 1, TSS_SELECTOR, LDT_SELECTOR, 0x30, 0x38, 0x0ff8, 0x74]);
  b.emit(...movImmediate(EAX, selector));
  if (draw.chance(50)) b.emit(0x0f, 0x00, register(tr ? 3 : 2, EAX));
  else b.write(OPERAND, word(selector)).emit(0x0f, 0x00, ...absolute(tr ? 3 : 2, OPERAND));
  b.emit(0x0f, 0x00, register(tr ? 1 : 0, ECX));
  return b.end();
}

/** Bits of CR0 that a case may change: MP, EM, TS, NE, WP, AM. */
const CR0_FREE = 0x5002e;
/** PSE, MCE and PGE stay; VME PVI TSD DE, PCE, OSFXSR, UMIP change. */
const CR4_FREE = 0xb0f;

/** Reads the register first: what is not changed stays. */
function controlWrite(draw: Draw): OracleCase {
  const cr = draw.pick([0, 0, 0, 4, 4, 2, 3, 1, 5, 6, 7]);
  const b = new CaseBuilder(draw, `mov-to-cr${cr}`);
  if (cr === 2) b.emit(...movImmediate(EAX, draw.dword()));
  else if (cr === 0 || cr === 3 || cr === 4) {
    if (b.ring === 0) b.emit(0x0f, 0x20, register(cr, EAX));
    if (cr !== 3) {
      const flip = draw.dword() & (cr === 0 ? CR0_FREE : CR4_FREE);
      b.emit(0x35, ...dword(flip));
      // Refused: PG without PE cannot be had here, NW without CD can; reserved bits of CR4.
      if (draw.chance(25))
        b.emit(0x0d, ...dword(cr === 0 ? 0x20000000 : draw.pick([0x40000000, 0x1000000, 0x4000])));
    }
  }
  b.emit(0x0f, 0x22, register(cr, EAX));
  if (draw.chance(50) && (cr === 0 || cr === 4)) b.emit(0x0f, 0x20, register(cr, EDX));
  return b.end();
}

function controlRead(draw: Draw): OracleCase {
  const cr = draw.pick([0, 2, 3, 4, 1, 5, 6, 7]);
  const b = new CaseBuilder(draw, `mov-from-cr${cr}`);
  b.ignore.add('edx');
  return b.emit(0x0f, 0x20, register(cr, EDX)).end();
}

/** DR4 and DR5 are DR6 and DR7, unless CR4.DE. No breakpoint is ever enabled. */
function debug(draw: Draw): OracleCase {
  const write = draw.chance(50);
  const dr = draw.int(0, 7);
  const b = new CaseBuilder(draw, `${write ? 'mov-to-dr' : 'mov-from-dr'}${dr}`);
  if (write) {
    const isStatus = dr === 4 || dr === 6;
    if (dr >= 4) b.emit(...movImmediate(EDX, draw.pick(isStatus ? DR6_VALUES : DR7_VALUES)));
    b.emit(0x0f, 0x23, register(dr, EDX));
  }
  return b.emit(0x0f, 0x21, register(dr, EAX)).end();
}

/** All reserved bits are as they read; DR7 enables nothing. */
const DR6_VALUES = [0xffff0ff0, 0xffff4ff0, 0xffffeff1];
const DR7_VALUES = [0x400, 0x700, 0x00330400];
const DR7_GD = 0x2000;

/** DR7.GD: the next access to a debug register is a #DB, which clears GD. SDM vol. 3, 17.2.4. */
function generalDetect(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'debug/general-detect').inRing(0);
  // QEMU lets it pass, and raises #DB in the runner, from then on in every case.
  b.without = ['qemu'];
  b.emit(...movImmediate(EDX, 0x400 | DR7_GD), 0x0f, 0x23, register(7, EDX));
  if (draw.chance(50)) b.emit(0x90);
  const dr = draw.pick([0, 3, 6, 7]);
  return b.emit(0x0f, draw.pick([0x21, 0x23]), register(dr, EAX)).end();
}

function testRegister(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'mov-test-register');
  return b.emit(0x0f, draw.pick([0x24, 0x26]), register(draw.int(0, 7), EAX)).end();
}

function machineStatus(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'lmsw');
  // PE cannot be cleared by it, MP, EM and TS can be both.
  b.emit(...movImmediate(EAX, (draw.dword() & ~0xf) | draw.int(0, 15)));
  if (draw.chance(50)) b.emit(0x0f, 0x01, register(6, EAX));
  else b.write(OPERAND, word(draw.int(0, 15))).emit(0x0f, 0x01, ...absolute(6, OPERAND));
  // smsw %cx; movzwl %cx,%ecx
  b.emit(0x0f, 0x01, register(4, ECX), 0x0f, 0xb7, 0xc9);
  return b.end();
}

function invalidatePage(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'invlpg');
  const operand = draw.chance(90)
    ? absolute(7, draw.pick([DATA, SPARE, 0xfffff000]))
    : [register(7, draw.int(2, 7))];
  return b.emit(0x0f, 0x01, ...operand).end();
}

/** No operand, or a fixed one; in ring 0 only where they change nothing. */
interface Plain {
  readonly topic: string;
  readonly bytes: readonly number[];
  /** In ring 0 it would end the case. */
  readonly outerOnly?: true;
  /**
   * No model of startup32 has it: #UD in all rings, as on QEMU told so. Bochs's model has it, and outside ring 0 raises
   * #UD as well, or #GP(0).
   */
  readonly notOnModel?: 'undefined-outside' | 'checks-cpl';
}

const PLAIN: readonly Plain[] = [
  { topic: 'clts', bytes: [0x0f, 0x06] },
  { topic: 'invd', bytes: [0x0f, 0x08] },
  { topic: 'wbinvd', bytes: [0x0f, 0x09] },
  { topic: 'hlt', bytes: [0xf4], outerOnly: true },
  { topic: 'sysexit', bytes: [0x0f, 0x35], outerOnly: true },
  { topic: 'xsetbv', bytes: [0x0f, 0x01, 0xd1] },
  { topic: 'xgetbv', bytes: [0x0f, 0x01, 0xd0] },
  { topic: 'monitor', bytes: [0x0f, 0x01, 0xc8], notOnModel: 'undefined-outside' },
  { topic: 'mwait', bytes: [0x0f, 0x01, 0xc9], notOnModel: 'undefined-outside' },
  { topic: 'clac', bytes: [0x0f, 0x01, 0xca], notOnModel: 'undefined-outside' },
  { topic: 'stac', bytes: [0x0f, 0x01, 0xcb], notOnModel: 'undefined-outside' },
  { topic: 'rsm', bytes: [0x0f, 0xaa] },
  { topic: 'vmcall', bytes: [0x0f, 0x01, 0xc1] },
  { topic: 'vmmcall', bytes: [0x0f, 0x01, 0xd9] },
  { topic: 'vmlaunch', bytes: [0x0f, 0x01, 0xc2] },
  { topic: 'vmresume', bytes: [0x0f, 0x01, 0xc3] },
  { topic: 'vmxoff', bytes: [0x0f, 0x01, 0xc4] },
  { topic: 'vmread', bytes: [0x0f, 0x78, 0xc8] },
  { topic: 'vmrun', bytes: [0x0f, 0x01, 0xd8] },
  { topic: 'vmload', bytes: [0x0f, 0x01, 0xda] },
  { topic: 'stgi', bytes: [0x0f, 0x01, 0xdc] },
  { topic: 'ud2', bytes: [0x0f, 0x0b] },
  { topic: 'syscall', bytes: [0x0f, 0x05] },
  { topic: 'sysret', bytes: [0x0f, 0x07] },
  { topic: 'invpcid', bytes: [0x66, 0x0f, 0x38, 0x82, ...absolute(EDX, OPERAND)], notOnModel: 'checks-cpl' },
  { topic: 'xsaves', bytes: [0x0f, 0xc7, ...absolute(5, OPERAND)] },
  { topic: 'xrstors', bytes: [0x0f, 0xc7, ...absolute(3, OPERAND)] },
  { topic: 'getsec', bytes: [0x0f, 0x37] },
  { topic: 'encls', bytes: [0x0f, 0x01, 0xcf] },
  { topic: 'vmxon', bytes: [0xf3, 0x0f, 0xc7, ...absolute(6, OPERAND)] },
  { topic: 'vmfunc', bytes: [0x0f, 0x01, 0xd4] },
];

function plain(draw: Draw): OracleCase {
  const { topic, bytes, outerOnly, notOnModel } = draw.pick(PLAIN);
  const b = new CaseBuilder(draw, topic);
  if (outerOnly && b.ring === 0) b.inRing(outer(draw));
  if (notOnModel && (b.ring === 0 || notOnModel === 'checks-cpl')) b.without = ['bochs', 'kvm'];
  if (draw.chance(15)) b.cr0 |= 0x8;
  return b.emit(...(draw.chance(10) ? [draw.pick([0x26, 0x3e, 0x64])] : []), ...bytes).end();
}

/** TSC and EFER are read; the SYSENTER MSRs are written, read back, and cleared. */
function modelSpecific(draw: Draw): OracleCase {
  const write = draw.chance(60);
  const index = write ? draw.pick([0x174, 0x175, 0x176]) : draw.pick([0x10, 0x174, 0x175, 0x176, 0xc0000080]);
  const b = new CaseBuilder(draw, write ? 'wrmsr' : 'rdmsr');
  b.registers.ecx = index;
  if (b.ring !== 0 && draw.chance(50)) b.registers.ecx = draw.dword();
  if (index === 0x10) b.ignore.add('eax').add('edx');
  if (!write) return b.emit(0x0f, 0x32).end();
  b.registers.edx = 0;
  b.emit(0x0f, 0x30);
  b.emit(...movImmediate(EAX, 0x5555), ...movImmediate(EDX, 0x6666), 0x0f, 0x32);
  // mov %eax,%esi; mov %edx,%edi; xor %eax,%eax; xor %edx,%edx; wrmsr
  b.emit(0x89, 0xc6, 0x89, 0xd7, 0x31, 0xc0, 0x31, 0xd2, 0x0f, 0x30);
  b.undefinedFlags = 0x10;
  return b.end();
}

function timeStamp(draw: Draw): OracleCase {
  const [topic, bytes] = draw.pick([
    ['rdtsc', [0x0f, 0x31]],
    ['rdtsc', [0x0f, 0x31]],
    ['rdtscp', [0x0f, 0x01, 0xf9]],
  ] as const);
  const b = new CaseBuilder(draw, topic);
  if (draw.chance(50)) b.cr4 |= CR4_TSD;
  for (const name of ['eax', 'edx', 'ecx'] as const) b.ignore.add(name);
  return b.emit(...bytes).end();
}

/** CR4.PCE opens it to all rings; a counter that no CPU has is #GP(0). What a counter holds is its own business. */
function counter(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'rdpmc');
  b.cr4 = draw.chance(50) ? b.cr4 | CR4_PCE : b.cr4 & ~CR4_PCE;
  b.registers.ecx = draw.pick([0, 1, 0x7fffffff]);
  b.ignore.add('eax').add('edx');
  return b.emit(0x0f, 0x33).end();
}

function identification(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'cpuid');
  b.registers.eax = draw.pick([0, 1, 0x80000000, 0x80000001]);
  for (const name of ['eax', 'ebx', 'ecx', 'edx'] as const) b.ignore.add(name);
  return b.emit(0x0f, 0xa2).end();
}

export const privileged: Family = {
  name: 'privileged',
  weight: 13,
  build: draw =>
    draw.pick([
      tableLoad,
      descriptorTableLoad,
      controlWrite,
      controlWrite,
      controlRead,
      debug,
      debug,
      generalDetect,
      testRegister,
      machineStatus,
      invalidatePage,
      modelSpecific,
      timeStamp,
      counter,
      identification,
    ])(draw),
};

export const withoutOperands: Family = { name: 'without-operands', weight: 8, build: plain };
