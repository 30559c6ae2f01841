/** The part of `js-lzma` 0.1.0 that lzma.ts uses. It ships no types of its own. */
declare module 'js-lzma' {
  class Decoder {
    /** The window; it is written to from its start on, and its first `_pos` bytes are made. */
    readonly _outWindow: { _buffer: ArrayLike<number>; readonly _pos: number };
    /** @returns false for numbers that the format does not allow */
    setLcLpPb(lc: number, lp: number, pb: number): boolean;
    setDictionarySize(size: number): boolean;
    /**
     * Goes on until `size` bytes are made (or a few more, when the last match is longer) or the end marker comes.
     *
     * @returns false for a match that goes back too far
     * @throws what source and sink throw
     */
    decode(source: { readByte(): number }, sink: { writeByte(byte: number): void }, size: number): boolean;
  }
  const LZMA: { readonly Decoder: typeof Decoder };
  export default LZMA;
}
