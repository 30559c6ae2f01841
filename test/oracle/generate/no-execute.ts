/** Pages without execution: IA32_EFER.NXE and bit 63 of PAE entries. SDM vol. 3, 4.4, 4.6 and 4.7. */
import { PTE_PRESENT, PTE_USER, PTE_WRITE, pageTableEntry } from '../arena.ts';
import { CODE, type OracleCase, SPARE } from '../case.ts';
import { absolute, dword, EAX, ECX, EDX, movImmediate } from './assemble.ts';
import { CaseBuilder, CR0_WP, EFER_NXE, type Family } from './builder.ts';
import type { Draw } from './draw.ts';

const ACCESSED_DIRTY = 0x60;
const NO_EXECUTE = 0x80000000;
const MSR_EFER = 0xc0000080;

function start(draw: Draw, topic: string): CaseBuilder {
  const b = new CaseBuilder(draw, `no-execute/${topic}`);
  b.paging = draw.chance(85) ? 'pae' : '32-bit';
  b.efer = draw.chance(75) ? EFER_NXE : 0;
  b.cr0 = draw.chance(50) ? b.cr0 | CR0_WP : b.cr0 & ~CR0_WP;
  return b;
}

/** Rights of a page; with PAE bit 63, more often than not. */
function protect(draw: Draw, b: CaseBuilder, page: number): void {
  if (b.paging === 'off') return;
  const bits = draw.pick([
    PTE_PRESENT | PTE_WRITE | PTE_USER,
    PTE_PRESENT | PTE_WRITE | PTE_USER,
    PTE_PRESENT | PTE_USER,
    PTE_PRESENT | PTE_WRITE,
    0,
  ]);
  const low = dword(page | bits | ACCESSED_DIRTY);
  const high = draw.chance(75) ? NO_EXECUTE : 0;
  b.write(pageTableEntry(b.paging, page), b.paging === 'pae' ? [...low, ...dword(high)] : low);
}

/** A jump to the page, or an instruction that goes on in it. */
function fetch(draw: Draw): OracleCase {
  const b = start(draw, 'fetch');
  if (draw.chance(60)) {
    protect(draw, b, SPARE);
    const target = SPARE + draw.pick([0, 0x10, 0xffe]);
    b.write(target, [0xcd, 0x40]);
    b.at = CODE;
    return b.emit(0xe9, ...dword(target - (b.here + 5))).end();
  }
  b.at = CODE + 0x1000 - draw.int(1, 7);
  protect(draw, b, CODE + 0x1000);
  return b.emit(0xb8, ...dword(draw.dword()), 0x01, 0xd0).end();
}

/** Data accesses do not look at bit 63, unless it is reserved. */
function data(draw: Draw): OracleCase {
  const b = start(draw, 'data');
  protect(draw, b, SPARE);
  return b.emit(draw.pick([0x8b, 0x89]), ...absolute(EDX, SPARE + draw.pick([0, 0x10, 0xffc, -2]))).end();
}

/** WRMSR to EFER: NXE is there, reserved bits are a #GP(0); RDMSR shows it. */
function extendedFeatures(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'wrmsr/efer');
  const value = draw.pick([0, EFER_NXE, EFER_NXE, 0x2, 0x8]);
  b.emit(...movImmediate(ECX, MSR_EFER), ...movImmediate(EAX, value), ...movImmediate(EDX, 0));
  b.emit(0x0f, 0x30, ...movImmediate(EAX, 0x5555), 0x0f, 0x32);
  return b.end();
}

export const noExecute: Family = {
  name: 'no-execute',
  weight: 4,
  build: draw => draw.pick([fetch, fetch, fetch, data, extendedFeatures])(draw),
};
