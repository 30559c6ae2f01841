/**
 * The x86 branch filter of xz (The .xz File Format 5.3.2, filter 0x04), undone. Before compression it has made the
 * relative target of each call and jump an absolute one, because calls of one function then look alike. It cannot tell
 * code from data, so it changes a word only where that looks like a target, and remembers which of the three bytes before
 * might have been the opcode instead.
 */

/** call rel32 is 0xe8, jmp rel32 0xe9. */
const OPCODE = 0xe8;
const OPCODE_MASK = 0xfe;
const TARGET_SIZE = 4;
const INSTRUCTION_SIZE = 1 + TARGET_SIZE;
/** How many bytes back an opcode that was left alone matters. */
const REACH = 3;

/** By the mask of opcodes left alone (bit 0: one byte back): whether a target may follow at all ... */
const MAY_FOLLOW = [true, true, true, false, true, false, false, false];
/** ... and how many bytes below its top the byte is that must not look like the top of the other's target. */
const OTHERS_TOP = [0, 1, 2, 2, 3, 3, 3, 3];

/** Targets reach 16 MiB either way, so that their top byte is a sign. */
const isSign = (byte: number | undefined): boolean => byte === 0 || byte === 0xff;
const TARGET_MASK = 0x01ffffff;
const TARGET_SIGN = 0x01000000;

/**
 * Changes `bytes` in place.
 *
 * @param bytes all that one xz block decodes to
 * @param startOffset what the filter's properties say the address of the first byte is
 */
export function undoX86Filter(bytes: Uint8Array, startOffset = 0): void {
  const end = bytes.length - TARGET_SIZE;
  let leftAlone = 0;
  let last = -1;
  for (let at = 0; at < end; at++) {
    if (((bytes[at] ?? 0) & OPCODE_MASK) !== OPCODE) continue;
    const gap = at - last;
    leftAlone = gap > REACH ? 0 : (leftAlone << (gap - 1)) & 7;
    last = at;
    const below = OTHERS_TOP[leftAlone] ?? 0;
    const doubtful = leftAlone !== 0 && (!MAY_FOLLOW[leftAlone] || isSign(bytes[at + TARGET_SIZE - below]));
    if (doubtful || !isSign(bytes[at + TARGET_SIZE])) {
      leftAlone = (leftAlone << 1) | 1;
      continue;
    }
    const next = startOffset + at + INSTRUCTION_SIZE;
    const absolute =
      (bytes[at + 1] ?? 0) |
      ((bytes[at + 2] ?? 0) << 8) |
      ((bytes[at + 3] ?? 0) << 16) |
      ((bytes[at + 4] ?? 0) << 24);
    let relative = (absolute - next) | 0;
    if (leftAlone !== 0) {
      const bits = below * 8;
      while (isSign((relative >>> (24 - bits)) & 0xff)) {
        relative = ((relative ^ (2 ** (32 - bits) - 1)) - next) | 0;
      }
    }
    relative &= TARGET_MASK;
    if (relative & TARGET_SIGN) relative |= ~TARGET_MASK;
    bytes[at + 1] = relative;
    bytes[at + 2] = relative >>> 8;
    bytes[at + 3] = relative >>> 16;
    bytes[at + 4] = relative >>> 24;
    at += TARGET_SIZE;
  }
}
