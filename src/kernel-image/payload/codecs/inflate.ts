/** Deflate data (RFC 1951), by fflate. */
import { Inflate } from 'fflate';
import { CorruptData } from './codec.ts';

/** One piece gives at most 1032 times as much, so that a bomb is noticed in time. */
const PIECE_IN = 1 << 16;

/**
 * What `bytes` decode to, piece by piece. What follows the end of the deflate data is not looked at.
 *
 * @throws CorruptData at the start of the piece that cannot be decoded
 */
export function* inflate(bytes: Uint8Array): Generator<Uint8Array, void> {
  const pieces: Uint8Array[] = [];
  const inflater = new Inflate(piece => pieces.push(piece));
  for (let at = 0; at < bytes.length || at === 0; at += PIECE_IN) {
    const end = Math.min(at + PIECE_IN, bytes.length);
    try {
      inflater.push(bytes.subarray(at, end), end === bytes.length);
    } catch (error) {
      throw new CorruptData(at, `${error instanceof Error ? error.message : error}; expected deflate data`);
    }
    yield* pieces.splice(0);
  }
}
