/** Page faults: not present, read-only with and without CR0.WP, supervisor, reserved bits, fetches. SDM vol. 3, 4.6 and 4.7. */
import {
  PAE_DIRECTORY,
  PAE_TABLE,
  PAGE_DIRECTORY,
  PAGE_TABLE,
  PTE_PRESENT,
  PTE_USER,
  PTE_WRITE,
  pageTableEntry,
} from '../arena.ts';
import { CODE, DATA, LDT, type OracleCase, SPARE, STACK, STACK_TOP, TSS } from '../case.ts';
import { absolute, dword, EDX, movImmediate, OPERAND_SIZE, REP, word } from './assemble.ts';
import { CaseBuilder, CR0_WP, CR4_PSE, type Family } from './builder.ts';
import type { Draw } from './draw.ts';
import { flatDescriptor, freeSelector } from './selectors.ts';

const ACCESSED_DIRTY = 0x60;
const LARGE = 0x80;

/** Entry bits for the page, and its high dword with PAE. */
function protect(draw: Draw, b: CaseBuilder, linear: number): void {
  if (b.paging === 'off') return;
  const page = linear & 0xfffff000;
  const bits = draw.pick([
    0,
    PTE_PRESENT,
    PTE_PRESENT | PTE_WRITE,
    PTE_PRESENT | PTE_USER,
    PTE_PRESENT | PTE_USER | PTE_WRITE,
    PTE_PRESENT | PTE_USER,
  ]);
  // Bits 62:52 are reserved whatever MAXPHYADDR is; 63 is without EFER.NXE (SDM vol. 3, table 4-11).
  const high = b.paging === 'pae' && draw.chance(20) ? draw.pick([0x00100000, 0x40000000, 0x80000000]) : 0;
  const entry = page | bits | ACCESSED_DIRTY;
  b.write(
    pageTableEntry(b.paging, page),
    b.paging === 'pae' ? [...dword(entry), ...dword(high)] : dword(entry),
  );
}

function start(draw: Draw, topic: string): CaseBuilder {
  const b = new CaseBuilder(draw, topic);
  b.paging = draw.pick(['32-bit', 'pae'] as const);
  b.cr0 = draw.chance(50) ? b.cr0 | CR0_WP : b.cr0 & ~CR0_WP;
  return b;
}

const OPERATIONS: readonly (readonly [string, readonly number[]])[] = [
  ['read', [0x8b]],
  ['read', [0x8a]],
  ['write', [0x89]],
  ['write', [0x88]],
  ['modify', [0x01]],
  ['modify', [0x31]],
  ['read', [0x3b]],
  ['modify', [0x87]],
];

function data(draw: Draw): OracleCase {
  const [what, opcode] = draw.pick(OPERATIONS);
  const b = start(draw, `page-fault/${what}`);
  const base = draw.pick([SPARE, DATA + 0x1000]);
  protect(draw, b, base);
  if (opcode[0] === 0x31) b.undefinedFlags = 0x10;
  // Inside, at the ends, and over the boundary from the page before.
  const address = base + draw.pick([0, 0x10, 0xffc, -1, -2, -3, -4, 4]);
  if (draw.chance(20)) b.emit(OPERAND_SIZE);
  b.emit(...opcode, ...absolute(EDX, address));
  return b.end();
}

function strings(draw: Draw): OracleCase {
  const b = start(draw, 'page-fault/movs');
  protect(draw, b, DATA + 0x1000);
  b.eflags &= ~0x400;
  b.registers.esi = draw.pick([DATA + 0x100, DATA + 0xff0]);
  b.registers.edi = b.registers.esi === DATA + 0x100 ? DATA + 0xff8 : SPARE;
  b.registers.ecx = draw.int(0, 8);
  const short = draw.chance(30);
  return b.emit(...(short ? [OPERAND_SIZE] : []), REP, 0xa5).end();
}

/** Outside ring 0: exceptions there need a stack. */
function stack(draw: Draw): OracleCase {
  const b = start(draw, 'page-fault/stack').inRing(draw.pick([1, 2, 3] as const));
  protect(draw, b, STACK);
  b.registers.esp = STACK_TOP + draw.pick([0, 2, 4, -4]);
  b.registers.ebp = b.registers.esp;
  b.emit(
    ...draw.pick([
      [0x52],
      [0x60],
      [0xe8, 0, 0, 0, 0],
      [0x5a],
      [0x9c],
      [0xc8, 8, 0, 0],
      [0x8b, 0x44, 0x24, 0xfc],
    ]),
  );
  return b.end();
}

/** A jump to the page, or an instruction that goes on in it. */
function fetch(draw: Draw): OracleCase {
  const b = start(draw, 'page-fault/fetch');
  if (draw.chance(50)) {
    protect(draw, b, SPARE);
    const target = SPARE + draw.pick([0, 0x10, 0xffe]);
    b.write(target, [0xcd, 0x40]);
    b.at = CODE;
    b.emit(0xe9, ...dword(target - (b.here + 5)));
  } else {
    b.at = CODE + 0x1000 - draw.int(1, 7);
    protect(draw, b, CODE + 0x1000);
    // mov $imm32,%eax; xor %edx,%eax
    b.emit(0xb8, ...dword(draw.dword()), 0x01, 0xd0);
  }
  return b.end();
}

/** Descriptor reads at any ring are supervisor accesses: the GDT's page has no user bit. */
function implicit(draw: Draw): OracleCase {
  const b = start(draw, 'page-fault/implicit');
  return b.emit(0x8e, draw.pick([0x05, 0x1d, 0x25]), ...dword(draw.pick([DATA + 0xfff, SPARE]))).end();
}

/** The descriptor itself is on a page that is not there: a supervisor's fault in any ring. */
function descriptor(draw: Draw): OracleCase {
  const b = start(draw, 'page-fault/descriptor');
  b.paging = draw.pick(['32-bit', 'pae'] as const);
  const selector = freeSelector(draw, b.ring, 'ldt');
  b.descriptor(selector, flatDescriptor(draw, b.ring, [0x3, 0x1, 0xb]));
  hide(b, LDT);
  b.emit(...movImmediate(0, selector));
  const [opcode, ...modrm] = draw.pick([
    [0x8e, 0xe0], // mov %eax,%fs
    [0x8e, 0xd0], // mov %eax,%ss
    [0x0f, 0x02, 0xd0], // lar
    [0x0f, 0x03, 0xd0], // lsl
    [0x0f, 0x00, 0xe0], // verr
  ] as const);
  return b.emit(opcode, ...modrm).end();
}

function hide(b: CaseBuilder, linear: number): void {
  if (b.paging === 'off') return;
  b.write(pageTableEntry(b.paging, linear), dword(linear | PTE_WRITE | ACCESSED_DIRTY));
}

/** The part of the I/O permission bitmap that a port needs is on a page that is not there. */
function bitmap(draw: Draw): OracleCase {
  const b = start(draw, 'page-fault/bitmap');
  // It starts so that the bits of port 0x1000 are the last ones of the TSS's first page.
  b.write(TSS + 0x66, [...word(0xfff - (0x1000 >>> 3))]);
  hide(b, TSS + 0x1000);
  b.registers.edx = draw.pick([0xf00, 0x1000, 0x1008, 0x1007]);
  b.ignore.add('eax');
  return b.emit(draw.pick([0xec, 0xed, 0xee])).end();
}

/** One large page instead of the page table, 1:1. */
function large(draw: Draw): OracleCase {
  const b = start(draw, 'page-fault/large');
  b.cr4 |= CR4_PSE;
  const bits = PTE_PRESENT | PTE_WRITE | (draw.chance(70) ? PTE_USER : 0) | LARGE | ACCESSED_DIRTY;
  if (b.paging === '32-bit') b.write(PAGE_DIRECTORY, dword(bits));
  else b.write(PAE_DIRECTORY, [...dword(bits), ...dword(0)]);
  return b.emit(draw.pick([0x8b, 0x89]), ...absolute(EDX, draw.pick([DATA, SPARE + 0x10]))).end();
}

/** Rights of the directory entry: what it does not give, no page has. */
function directory(draw: Draw): OracleCase {
  const b = start(draw, 'page-fault/directory');
  b.cr0 &= ~CR0_WP;
  const bits = PTE_PRESENT | (draw.chance(50) ? PTE_WRITE : 0) | (draw.chance(70) ? PTE_USER : 0) | 0x20;
  if (b.paging === '32-bit') b.write(PAGE_DIRECTORY, dword(PAGE_TABLE | bits));
  else b.write(PAE_DIRECTORY, [...dword(PAE_TABLE | bits), ...dword(0)]);
  return b.emit(draw.pick([0x8b, 0x89, 0x01]), ...absolute(EDX, draw.pick([DATA, SPARE + 0x10]))).end();
}

export const pageFaults: Family = {
  name: 'paging',
  weight: 12,
  build: draw =>
    draw.pick([
      data,
      data,
      data,
      strings,
      stack,
      fetch,
      fetch,
      implicit,
      descriptor,
      bitmap,
      large,
      directory,
    ])(draw),
};
