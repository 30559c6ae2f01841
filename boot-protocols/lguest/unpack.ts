/**
 * How the launcher of Linux 2.6.23 loads a bzImage: Documentation/lguest/lguest.c, load_bzimage, unpack_bzimage and
 * intuit_page_offset. It never runs the code around the kernel: it looks for a gzip header, and puts what is packed there
 * at 1 MiB as it is. A kernel of that time has no ELF header in front of it, so PAGE_OFFSET is guessed from the code.
 */
import type { BzImage } from '../../src/kernel-image/kernel-image.ts';
import { CorruptData } from '../../src/kernel-image/payload/codecs/codec.ts';
import { inflate } from '../../src/kernel-image/payload/codecs/inflate.ts';
import { ProtocolError } from '../protocol.ts';

/** 1F 8B, and the tenth byte: packed under Unix (RFC 1952, 2.3.1). */
const ID1 = 0x1f;
const ID2 = 0x8b;
const OS = 9;
const OS_UNIX = 3;
/** Of a header without optional fields, as `gzip -n` in the kernel's Makefile writes it. */
const HEADER_SIZE = 10;

/** mov MOFFS32,%eax; the last byte of the address is the first of PAGE_OFFSET. */
const MOV_FROM_MEMORY = 0xa1;
const TOP_BYTE = 4;
const CERTAIN = 3;

const fail = (image: BzImage, what: string): ProtocolError =>
  new ProtocolError(
    'no-kernel-inside',
    `${image.name}: ${what}, which the lguest launcher of Linux 2.6.23 unpacks`,
  );

function findGzip(image: BzImage, code: Uint8Array): number {
  // The launcher's search looks at one byte at a time and does not go back.
  for (let at = 0; at + HEADER_SIZE <= code.length; at++) {
    if (code[at] !== ID1) continue;
    at++;
    if (code[at] !== ID2) continue;
    const start = at - 1;
    if (code[start + OS] === OS_UNIX) return start;
    // It gives up here: it looks at the first header only.
    throw fail(image, 'the first gzip header in it is not of a file packed under Unix');
  }
  throw fail(image, 'there is no gzip header in it');
}

/**
 * The kernel inside, as it stands in memory from 1 MiB on.
 *
 * @param limit bytes that there is room for
 * @throws {ProtocolError} `no-kernel-inside`, `image-too-big`
 */
export function unpackBzImage(image: BzImage, limit: number): Uint8Array {
  const code = image.segments[0]?.contents ?? new Uint8Array();
  const start = findGzip(image, code) + HEADER_SIZE;
  const pieces: Uint8Array[] = [];
  let size = 0;
  try {
    for (const piece of inflate(code.subarray(start))) {
      pieces.push(piece);
      size += piece.length;
      if (size > limit) {
        throw new ProtocolError(
          'image-too-big',
          `the kernel in ${image.name} needs more than the ${limit} bytes that --memory gives above 1 MiB`,
        );
      }
    }
  } catch (error) {
    if (!(error instanceof CorruptData)) throw error;
    throw fail(image, `its gzip data is corrupt (${error.message})`);
  }
  const kernel = new Uint8Array(size);
  let end = 0;
  for (const piece of pieces) {
    kernel.set(piece, end);
    end += piece.length;
  }
  return kernel;
}

/**
 * The launcher's guess: the byte that most loads of EAX from memory have at the top of their address.
 *
 * @throws {ProtocolError} `page-offset` when there are too few
 */
export function intuitPageOffset(image: BzImage, kernel: Uint8Array): number {
  const seen = new Uint32Array(256);
  for (let at = 0; at + TOP_BYTE < kernel.length; at++) {
    if (kernel[at] !== MOV_FROM_MEMORY) continue;
    const top = kernel[at + TOP_BYTE] ?? 0;
    const count = (seen[top] ?? 0) + 1;
    seen[top] = count;
    if (count > CERTAIN) return (top << 24) >>> 0;
  }
  throw new ProtocolError(
    'page-offset',
    `${image.name}: the kernel in it does not show its PAGE_OFFSET: fewer than ${CERTAIN + 1} loads of EAX from memory agree on one`,
  );
}
