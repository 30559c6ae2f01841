/** Bytes of instructions and tables. 32-bit code unless a name says otherwise. */

export const byte = (value: number): number => value & 0xff;
export const word = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff];
export const dword = (value: number): number[] => [
  value & 0xff,
  (value >>> 8) & 0xff,
  (value >>> 16) & 0xff,
  (value >>> 24) & 0xff,
];

/** Register numbers of the encoding. */
export const EAX = 0;
export const ECX = 1;
export const EDX = 2;
export const EBX = 3;
export const ESP = 4;
export const EBP = 5;
export const ESI = 6;
export const EDI = 7;
export const ES = 0;
export const CS = 1;
export const SS = 2;
export const DS = 3;
export const FS = 4;
export const GS = 5;

/** Prefix that names a segment register, by its number. */
export const SEGMENT_PREFIX: readonly number[] = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];
export const OPERAND_SIZE = 0x66;
export const ADDRESS_SIZE = 0x67;
export const LOCK = 0xf0;
export const REPNE = 0xf2;
export const REP = 0xf3;

/** ModR/M and displacement of a 32-bit absolute address. */
export const absolute = (reg: number, address: number): number[] => [(reg << 3) | 5, ...dword(address)];
/** ModR/M of a register operand. */
export const register = (reg: number, rm: number): number => 0xc0 | (reg << 3) | rm;

export const movImmediate = (reg: number, value: number): number[] => [0xb8 | reg, ...dword(value)];
export const pushImmediate = (value: number): number[] => [0x68, ...dword(value)];
/** MOV Sreg, r16. */
const movToSegment = (segment: number, reg: number): number[] => [0x8e, register(segment, reg)];
/** Loads a segment register through EAX. */
export const loadSegment = (segment: number, selector: number): number[] => [
  ...movImmediate(EAX, selector),
  ...movToSegment(segment, EAX),
];
export const popf = (image: number): number[] => [...pushImmediate(image), 0x9d];
export const interrupt = (vector: number): number[] => [0xcd, vector];

/** A descriptor's eight bytes. SDM vol. 3, figure 3-8. */
export interface RawDescriptor {
  readonly base: number;
  /** The 20-bit field, as it stands in the table. */
  readonly limit: number;
  /** P, DPL, S and type: bits 15:8 of the high dword. */
  readonly access: number;
  /** G 8, D/B 4, L 2, AVL 1. */
  readonly flags: number;
}

export const descriptorBytes = ({ base, limit, access, flags }: RawDescriptor): number[] => [
  ...word(limit),
  ...word(base),
  byte(base >>> 16),
  byte(access),
  byte((flags << 4) | ((limit >>> 16) & 0xf)),
  byte(base >>> 24),
];

/** A gate's eight bytes. SDM vol. 3, figure 5-8 (call gate) and 6-2 (interrupt, trap, task). */
export const gateBytes = (selector: number, offset: number, access: number, parameters = 0): number[] => [
  ...word(offset),
  ...word(selector),
  parameters & 0x1f,
  byte(access),
  ...word(offset >>> 16),
];

export const PRESENT = 0x80;
export const SEGMENT = 0x10;
export const dpl = (ring: number): number => (ring & 3) << 5;
/** Types of code and data segments, accessed: SDM vol. 3, table 3-1. */
export const DATA_READ = 0x1;
export const DATA_WRITE = 0x3;
export const DATA_DOWN_READ = 0x5;
export const DATA_DOWN_WRITE = 0x7;
export const CODE_EXECUTE = 0x9;
export const CODE_READ = 0xb;
export const CODE_CONFORMING = 0xd;
export const CODE_CONFORMING_READ = 0xf;
/** System types: SDM vol. 3, table 3-2. */
export const TSS16 = 0x1;
export const TSS16_BUSY = 0x3;
export const CALL_GATE16 = 0x4;
export const TASK_GATE = 0x5;
export const INTERRUPT_GATE16 = 0x6;
export const TRAP_GATE16 = 0x7;
export const TSS32 = 0x9;
export const TSS32_BUSY = 0xb;
export const CALL_GATE = 0xc;
export const INTERRUPT_GATE = 0xe;
export const TRAP_GATE = 0xf;
export const PAGES = 0x8;
export const BIG = 0x4;
/** The smallest limits of a TSS: SDM vol. 3, 7.2.2 and 7.6. */
export const TSS_LIMIT_32 = 0x67;
export const TSS_LIMIT_16 = 0x2b;
