/** What every codec is: a function from the bytes of a payload to the bytes of the kernel proper. */

export interface CodecInput {
  /** The payload without the size word that the kernel's build appends. */
  readonly bytes: Uint8Array;
  /** What the payload says it decodes to, in bytes: at most the limit. More is {@link TooBig}, less {@link CorruptData}. */
  readonly size: number;
  /** Says how many bytes are made, lets other work run, and throws when the user has had enough. */
  readonly made: (bytes: number) => Promise<void>;
  /** The same inside a decoder that cannot wait: other work does not run. */
  readonly making: (bytes: number) => void;
}

export type Codec = (input: CodecInput) => Promise<Uint8Array>;

/** Data that its format does not allow. */
export class CorruptData extends Error {
  /** Into the codec's bytes; where that is not known, where what it belongs to starts. */
  readonly at: number;
  /** @param what found and expected, e.g. `the magic is 00 00; expected 1f 8b` */
  constructor(at: number, what: string) {
    super(what);
    this.at = at;
  }
}

/** More data than the payload says. */
export class TooBig extends Error {}

/** Between two calls of `made`: often enough to draw a line and to stop, rarely enough to cost nothing. */
export const PIECE = 1 << 20;

export const truncated = (at: number, inside: string): CorruptData =>
  new CorruptData(at, `the data ends inside ${inside}; expected more bytes`);

/** @throws CorruptData when fewer bytes were made than the payload says */
export function checkMade(made: number, { bytes, size }: CodecInput): void {
  if (made !== size) {
    throw new CorruptData(
      bytes.length,
      `the data ends after ${made} bytes; expected the ${size} that the size word says`,
    );
  }
}
