/** Data accesses of every kind through segments with limits and types: SDM vol. 3, 5.3 to 5.5. */
import { DATA, type OracleCase, STACK } from '../case.ts';
import {
  ADDRESS_SIZE,
  BIG,
  CODE_CONFORMING,
  CODE_CONFORMING_READ,
  CODE_EXECUTE,
  CODE_READ,
  DATA_DOWN_READ,
  DATA_DOWN_WRITE,
  DATA_READ,
  DATA_WRITE,
  DS,
  dpl,
  dword,
  ES,
  FS,
  GS,
  LOCK,
  loadSegment,
  OPERAND_SIZE,
  PAGES,
  PRESENT,
  type RawDescriptor,
  REP,
  SEGMENT,
  SEGMENT_PREFIX,
  SS,
  word,
} from './assemble.ts';
import { CaseBuilder, type Family, FLAG_DF } from './builder.ts';
import type { Draw } from './draw.ts';
import { freeSelector } from './selectors.ts';

/** Where the limited segments start: DATA, so that a small offset is inside. */
const BASE = DATA;

const READABLE = [
  DATA_WRITE,
  DATA_WRITE,
  DATA_WRITE,
  DATA_READ,
  DATA_DOWN_WRITE,
  DATA_DOWN_READ,
  CODE_READ,
  CODE_CONFORMING_READ,
];

/** A segment around DATA and the offsets that are of interest in it. */
interface Window {
  readonly raw: RawDescriptor;
  readonly offset: number;
}

function dataWindow(draw: Draw, ring: number, types: readonly number[]): Window {
  const type = draw.pick(types);
  const down = (type & 0xc) === 4;
  const pages = draw.chance(25);
  const big = draw.chance(70);
  // Bytes, or pages of them: both end inside DATA.
  const limit = pages ? 0 : draw.pick([0, 1, 3, 0x0f, 0x1ff, 0xffe, 0xfff]);
  const last = pages ? 0xfff : limit;
  const near = draw.pick([-8, -5, -4, -3, -2, -1, 0, 1, 2, 4]);
  const offset = draw.chance(85)
    ? last + near
    : draw.pick([0, 0x10, 0xfffe, 0xffff, 0x1000, 0xfffffffc, 0xffffffff]);
  return {
    raw: {
      base: BASE,
      limit,
      access: PRESENT | dpl(draw.chance(70) ? ring : 3) | SEGMENT | type,
      flags: (pages ? PAGES : 0) | (big ? BIG : 0),
    },
    // Nothing is mapped far above the segments, and memory ends: an offset beyond both is only good where it is refused.
    offset: (down && offset > 0x1f00 ? offset & 0xfff : offset) >>> 0,
  };
}

/** Instructions with a memory operand at [EBX], as ModR/M 03 with the given register field. */
const OPERATIONS: readonly (readonly number[])[] = [
  [0x8b, 0x13], // mov (%ebx),%edx
  [0x8b, 0x13],
  [0x89, 0x13], // mov %edx,(%ebx)
  [0x89, 0x13],
  [0x8a, 0x13], // mov (%ebx),%dl
  [0x88, 0x13],
  [0x01, 0x13], // add %edx,(%ebx)
  [0x03, 0x13],
  [0x3b, 0x13], // cmp (%ebx),%edx
  [0x39, 0x13],
  [0x85, 0x13], // test
  [0xff, 0x03], // incl
  [0xfe, 0x0b], // decb
  [0xf7, 0x13], // notl
  [0xff, 0x33], // pushl
  [0x8f, 0x03], // popl
  [0x87, 0x13], // xchg
  [0x0f, 0xb6, 0x13], // movzbl
  [0x0f, 0xbf, 0x13], // movswl
  [0x0f, 0xab, 0x03], // bts %eax
  [0x0f, 0xba, 0x23, 0x1f], // bt $31
  [0x0f, 0xb1, 0x13], // cmpxchg
  [0x0f, 0xc1, 0x13], // xadd
  [0x0f, 0x94, 0x03], // sete
  [0xc7, 0x03, 0x78, 0x56, 0x34, 0x12], // movl $
  [0xc6, 0x03, 0x5a], // movb $
  [0xff, 0x13], // call *(%ebx)
  [0x0f, 0x01, 0x03], // sgdt
  [0x0f, 0x01, 0x0b], // sidt
  [0x0f, 0xc7, 0x0b], // cmpxchg8b
  [0x62, 0x13], // bound
  [0xc5, 0x13], // lds
  [0x8c, 0x1b], // mov %ds,(%ebx)
  [0x8d, 0x13], // lea
  [0x0f, 0x18, 0x0b], // prefetcht0
];

const isNearCall = ([opcode, modrm]: readonly number[]): boolean => opcode === 0xff && modrm === 0x13;

/** Of these the SDM leaves flags undefined: BT leaves OF, SF, AF, PF. */
const BIT_TEST_UNDEFINED = 0x894;

function loadLimited(draw: Draw, b: CaseBuilder, segment: number, window: Window): void {
  const selector = freeSelector(draw, b.ring);
  b.descriptor(selector, window.raw);
  if (segment === SS) b.selectors.ss = selector;
  else b.emit(...loadSegment(segment, selector));
}

function operation(draw: Draw): OracleCase {
  const segment = draw.pick([DS, ES, FS, GS]);
  const b = new CaseBuilder(draw, 'segment-access/data');
  const null_ = draw.chance(8);
  const window = dataWindow(draw, b.ring, READABLE);
  if (null_) b.emit(...loadSegment(segment, draw.int(0, 3)));
  else loadLimited(draw, b, segment, window);
  b.registers.ebx = window.offset;
  b.registers.eax = draw.int(0, 31);
  // A CALL has to find the address of the next instruction there, or nothing at all.
  const usable = window.offset < 0x1f00 ? OPERATIONS : OPERATIONS.filter(bytes => !isNearCall(bytes));
  const bytes = draw.pick(usable);
  if (bytes[1] === 0xab || bytes[1] === 0xba) b.undefinedFlags = BIT_TEST_UNDEFINED;
  // A 16-bit CALL would go to where no code is.
  const isCall = isNearCall(bytes);
  if (!isCall && draw.chance(20)) b.emit(OPERAND_SIZE);
  if (draw.chance(8)) b.emit(LOCK);
  if (segment !== DS || draw.chance(20)) b.emit(SEGMENT_PREFIX[segment] ?? 0x3e);
  // 16-bit addresses: (%bx) has no ModR/M byte of its own but %bp+%di; so [disp16].
  if (draw.chance(10) && bytes.length === 2 && bytes[0] !== 0x62) {
    b.emit(ADDRESS_SIZE, bytes[0] ?? 0, ((bytes[1] ?? 0) & 0x38) | 6, ...word(window.offset));
  } else b.emit(...bytes);
  if (isCall) b.write(BASE + window.offset, dword(b.here));
  b.topic = `segment-access/${null_ ? 'null' : 'data'}`;
  return b.end();
}

function strings(draw: Draw): OracleCase {
  const [topic, opcode] = draw.pick([
    ['movs', 0xa4],
    ['cmps', 0xa6],
    ['stos', 0xaa],
    ['lods', 0xac],
    ['scas', 0xae],
    ['xlat', 0xd7],
  ] as const);
  const b = new CaseBuilder(draw, `segment-access/${topic}`);
  // Through the limited segment goes either the source or the destination.
  const source =
    topic === 'lods' || topic === 'xlat' || ((topic === 'movs' || topic === 'cmps') && draw.chance(50));
  const segment = source ? draw.pick([DS, FS]) : ES;
  const window = dataWindow(draw, b.ring, READABLE);
  loadLimited(draw, b, segment, window);
  b.registers.esi = source ? window.offset : DATA + 0x300;
  b.registers.edi = source ? DATA + 0x500 : window.offset;
  if (topic === 'xlat') b.registers.ebx = (window.offset - 2) >>> 0;
  b.registers.ecx = draw.int(0, 5);
  b.eflags = draw.chance(30) ? b.eflags | FLAG_DF : b.eflags & ~FLAG_DF;
  // What is in EAX by then is a selector: little in AL.
  b.emit(0xb8, ...dword(draw.int(0, 3)));
  if (draw.chance(50) && topic !== 'xlat') b.emit(draw.pick([REP, REP, 0xf2]));
  if (segment === FS) b.emit(SEGMENT_PREFIX[FS] ?? 0x64);
  const wide = topic !== 'xlat' && draw.chance(60);
  if (wide && draw.chance(30)) b.emit(OPERAND_SIZE);
  b.emit(opcode | (wide ? 1 : 0));
  return b.end();
}

const STACK_OPERATIONS: readonly { topic: string; bytes: readonly number[] }[] = [
  { topic: 'push', bytes: [0x52] },
  { topic: 'push', bytes: [OPERAND_SIZE, 0x52] },
  { topic: 'push', bytes: [0x6a, 0x7f] },
  { topic: 'pop', bytes: [0x5a] },
  { topic: 'pop', bytes: [OPERAND_SIZE, 0x5a] },
  { topic: 'pushf', bytes: [0x9c] },
  { topic: 'popf', bytes: [0x9d] },
  { topic: 'pusha', bytes: [0x60] },
  { topic: 'popa', bytes: [0x61] },
  { topic: 'call', bytes: [0xe8, 0, 0, 0, 0] },
  { topic: 'enter', bytes: [0xc8, 0x10, 0, 0] },
  { topic: 'enter', bytes: [0xc8, 0x08, 0, 0x02] },
  { topic: 'leave', bytes: [0xc9] },
  { topic: 'push-segment', bytes: [0x1e] },
  { topic: 'pop-segment', bytes: [0x0f, 0xa1] },
  { topic: 'mov', bytes: [0x8b, 0x14, 0x24] },
  { topic: 'mov', bytes: [0x89, 0x54, 0x24, 0x04] },
  { topic: 'mov', bytes: [0x8b, 0x55, 0x00] },
  { topic: 'push', bytes: [0xff, 0x35, ...dword(DATA + 0x40)] },
  { topic: 'pop', bytes: [0x8f, 0x05, ...dword(DATA + 0x40)] },
];

/** Stacks with limits, outside ring 0: there the exception has to find a stack that is good. */
function stack(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'segment-access/stack').inRing(draw.pick([1, 2, 3, 3] as const));
  const down = draw.chance(30);
  const pages = draw.chance(20);
  const limit = pages ? 0 : draw.pick([0x3, 0x1f, 0xff, 0xfff]);
  const last = pages ? 0xfff : limit;
  const selector = freeSelector(draw, b.ring);
  b.descriptor(selector, {
    base: STACK,
    limit,
    access: PRESENT | dpl(b.ring) | SEGMENT | (down ? DATA_DOWN_WRITE : DATA_WRITE),
    flags: (pages ? PAGES : 0) | (draw.chance(60) ? BIG : 0),
  });
  b.selectors.ss = selector;
  b.registers.esp =
    (last + draw.pick([-64, -33, -32, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 8, 32, 40])) >>> 0;
  if (draw.chance(20)) b.registers.esp = draw.pick([0, 1, 2, 3, 4, 8]);
  b.registers.ebp = (b.registers.esp + draw.pick([0, 0, 8])) >>> 0;
  const { topic, bytes } = draw.pick(STACK_OPERATIONS);
  if (topic === 'popf' || topic === 'pop-segment') {
    // What it pops is nothing special.
    b.write(STACK + (b.registers.esp & 0xfff), dword(0));
  }
  b.topic = `segment-access/stack-${topic}`;
  b.emit(...bytes);
  return b.end();
}

/** Writes into code, reads from code that is not readable: through CS itself. */
function throughCode(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'segment-access/cs');
  const type = draw.pick([CODE_READ, CODE_EXECUTE, CODE_CONFORMING_READ, CODE_CONFORMING]);
  const selector = freeSelector(draw, b.ring);
  const conforming = (type & 4) !== 0;
  b.descriptor(selector, {
    base: 0,
    limit: draw.chance(50) ? 0xfffff : 0x42,
    access: PRESENT | dpl(conforming ? draw.int(0, b.ring) : b.ring) | SEGMENT | type,
    flags: PAGES | BIG,
  });
  b.selectors.cs = selector;
  b.registers.ebx = draw.pick([DATA + 0x40, DATA + 0xffc, DATA + 0xffd, DATA + 0xfff]);
  b.emit(
    0x2e,
    ...draw.pick([
      [0x8b, 0x13],
      [0x89, 0x13],
      [0x8a, 0x13],
      [0x01, 0x13],
      [0x39, 0x13],
    ]),
  );
  return b.end();
}

/** Nothing but flat segments: nothing may be refused. */
function flat(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'access/flat');
  b.registers.ebx = draw.pick([DATA + 0x40, DATA + 0xffe, DATA + 0x1001]);
  const bytes = draw.pick(OPERATIONS.filter(([first]) => first !== 0xff && first !== 0x62 && first !== 0xc5));
  if (bytes[1] === 0xab || bytes[1] === 0xba) {
    b.undefinedFlags = BIT_TEST_UNDEFINED;
    b.registers.eax = draw.int(0, 63);
  }
  if (draw.chance(20)) b.emit(OPERAND_SIZE);
  if (draw.chance(30)) b.emit(draw.pick(SEGMENT_PREFIX.filter((_, segment) => segment !== 1)));
  b.emit(...bytes);
  return b.end();
}

export const accesses: Family = {
  name: 'accesses',
  weight: 22,
  build: draw => draw.pick([operation, operation, strings, strings, stack, stack, throughCode, flat])(draw),
};
