/** CLI, STI and the port instructions: SDM vol. 1, 19.5.1 and 19.5.2. */

import { TSS_IO_MAP, TSS_LIMIT } from '../arena.ts';
import { DATA, type OracleCase, TSS } from '../case.ts';
import { descriptorBytes, dpl, OPERAND_SIZE, PRESENT, REP, SEGMENT_PREFIX, TSS32, word } from './assemble.ts';
import { CaseBuilder, CR4_PVI, type Family, FLAG_DF } from './builder.ts';
import type { Draw } from './draw.ts';

const VIF = 0x80000;
const VIP = 0x100000;
/** Behind these ports is nothing on any of the machines. */
const PORTS = [0x1000, 0x1007, 0x1ffd, 0x1fff, 0x2345, 0x3ff4];
/** QEMU reads an unaligned port that is not there as 0. */
const ALIGNED_PORTS = [0x1000, 0x1ffc, 0x2344, 0x3ff4];

function interruptFlag(draw: Draw): OracleCase {
  const set = draw.chance(50);
  const b = new CaseBuilder(draw, set ? 'sti' : 'cli');
  if (draw.chance(30)) {
    b.cr4 |= CR4_PVI;
    // Both at once are a #GP(0) at CPL 3, before the first instruction.
    if (draw.chance(40)) {
      b.eflags |= draw.pick([VIF, VIP, VIF | VIP]);
      // QEMU's IRET cannot enter with them.
      b.without = ['qemu'];
    }
  }
  b.emit(set ? 0xfb : 0xfa);
  if (draw.chance(50)) b.emit(0x9c, 0x5a);
  return b.end();
}

/** Opens some ports around `port`, not always all of them. */
function openPorts(draw: Draw, b: CaseBuilder, port: number, size: number): void {
  const at = TSS + TSS_IO_MAP + (port >>> 3);
  switch (draw.int(0, 4)) {
    case 0:
      break;
    case 1:
      b.write(at, word(~(((1 << size) - 1) << (port & 7))));
      break;
    case 2:
      // One of the ports stays closed.
      b.write(at, word(~(((1 << size) - 1) << (port & 7)) | (1 << ((port & 7) + draw.int(0, size - 1)))));
      break;
    case 3:
      b.write(at, word(0));
      break;
    default:
      // The bitmap is somewhere else, or nowhere: its base is the word at 0x66.
      b.write(at, word(0));
      b.write(
        TSS + 0x66,
        word(draw.pick([TSS_LIMIT, TSS_LIMIT - 1, TSS_LIMIT + 1, 0xffff, TSS_LIMIT - (port >>> 3)])),
      );
  }
}

function port(draw: Draw): OracleCase {
  const [topic, opcode, string] = draw.pick([
    ['in', 0xec, false],
    ['out', 0xee, false],
    ['ins', 0x6c, true],
    ['outs', 0x6e, true],
    ['in', 0xe4, false],
    ['out', 0xe6, false],
  ] as const);
  const immediate = opcode === 0xe4 || opcode === 0xe6;
  const b = new CaseBuilder(draw, topic);
  const number = immediate ? 0x80 : draw.pick(topic === 'ins' ? ALIGNED_PORTS : PORTS);
  const wide = !immediate && draw.chance(60);
  const short = wide && draw.chance(40);
  const size = wide ? (short ? 2 : 4) : 1;
  openPorts(draw, b, number, size);
  b.registers.edx = ((draw.dword() & 0xffff0000) | number) >>> 0;
  b.registers.ecx = draw.int(0, 3);
  b.eflags = draw.chance(20) ? b.eflags | FLAG_DF : b.eflags & ~FLAG_DF;
  if (short) b.emit(OPERAND_SIZE);
  if (string && draw.chance(40)) b.emit(REP);
  if (string && opcode === 0x6e && draw.chance(30)) b.emit(draw.pick(SEGMENT_PREFIX));
  b.emit(opcode | (wide ? 1 : 0));
  if (immediate) b.emit(number);
  if (topic === 'in') b.ignore.add('eax');
  if (topic === 'ins') b.registers.edi = draw.pick([DATA + 0x100, DATA + 0xffe]);
  return b.end();
}

/** CLI and POPF do not look at the bitmap, whatever it says; a TSS without room for one allows nothing. */
function smallTss(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'in').inRing(draw.pick([1, 2, 3] as const)).withIopl(0);
  b.topic = 'in/short-tss';
  const number = draw.pick(PORTS);
  openPorts(draw, b, number, 1);
  b.slot(
    0x18,
    descriptorBytes({
      base: TSS,
      limit: draw.pick([0x67, 0x87, 0x2ff]),
      access: PRESENT | dpl(0) | TSS32,
      flags: 0,
    }),
  );
  b.registers.edx = number;
  return b.emit(0xec).end();
}

export const iopl: Family = {
  name: 'iopl',
  weight: 10,
  build: draw => draw.pick([interruptFlag, port, port, port, smallTss])(draw),
};
