/**
 * LZO1X, the bitstream that the kernel's decompressor reads (Linux Documentation/staging/lzo.rst). What an instruction
 * means depends on how many literals the one before it copied.
 */
import { CorruptData, TooBig, truncated } from './codec.ts';

/** After a run of four literals or more. */
const LONG_RUN = 4;
/** A first byte above it is a run of literals of its own. */
const FIRST_RUN = 17;
/** Distance field 0 of the far matches ends the block. */
const FAR = 16384;
const MIDDLE = 2048;

/**
 * Decodes the block `bytes[start..end)` into `out` from `to` on, up to `room`.
 *
 * @returns where the output ends
 */
export function decodeLzo1x(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  outStart: number,
  room: number,
): number {
  let at = start;
  let to = outStart;

  const next = (): number => {
    if (at >= end) throw truncated(at, 'an instruction');
    return bytes[at++] ?? 0;
  };
  /** 0 in the length bits: zero bytes count 255 each, and the byte after them ends the length. */
  const length = (bits: number, mask: number): number => {
    if ((bits & mask) !== 0) return bits & mask;
    let sum = mask;
    for (;;) {
      const more = next();
      if (more !== 0) return sum + more;
      sum += 255;
    }
  };
  const literals = (count: number): void => {
    if (count > end - at) throw truncated(at, 'literals');
    if (to + count > room) throw new TooBig();
    for (let left = count; left > 0; left--) out[to++] = bytes[at++] ?? 0;
  };
  const match = (distance: number, count: number, instruction: number): void => {
    if (distance > to - outStart) {
      throw new CorruptData(
        instruction,
        `a match goes back ${distance} bytes after ${to - outStart} of its block; expected at most that`,
      );
    }
    if (to + count > room) throw new TooBig();
    for (let left = count; left > 0; left--, to++) out[to] = out[to - distance] ?? 0;
  };

  let state = 0;
  if (at < end && (bytes[at] ?? 0) > FIRST_RUN) {
    const count = next() - FIRST_RUN;
    literals(count);
    state = Math.min(count, LONG_RUN);
  }
  for (;;) {
    const instruction = at;
    const code = next();
    let after: number;
    if (code >= 64) {
      const count = code >= 128 ? 5 + ((code >>> 5) & 3) : 3 + ((code >>> 5) & 1);
      match((next() << 3) + ((code >>> 2) & 7) + 1, count, instruction);
      after = code & 3;
    } else if (code >= 32) {
      const count = 2 + length(code, 31);
      const word = next() | (next() << 8);
      match((word >>> 2) + 1, count, instruction);
      after = word & 3;
    } else if (code >= 16) {
      const count = 2 + length(code, 7);
      const word = next() | (next() << 8);
      const distance = FAR + ((code & 8) << 11) + (word >>> 2);
      if (distance === FAR) {
        if (at !== end)
          throw new CorruptData(at, `${end - at} bytes follow the end of a block; expected none`);
        return to;
      }
      match(distance, count, instruction);
      after = word & 3;
    } else if (state === 0) {
      literals(3 + length(code, 15));
      state = LONG_RUN;
      continue;
    } else if (state === LONG_RUN) {
      match((next() << 2) + (code >>> 2) + MIDDLE + 1, 3, instruction);
      after = code & 3;
    } else {
      match((next() << 2) + (code >>> 2) + 1, 2, instruction);
      after = code & 3;
    }
    literals(after);
    state = after;
  }
}
