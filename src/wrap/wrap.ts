/** From an ELF kernel to a bzImage, by a stub of ours. */
import { PAGE_SIZE } from '../../emulator/paging.ts';
import { KernelImageError, type PayloadFormat, readKernelImage } from '../kernel-image/index.ts';
import { crc32 } from '../kernel-image/payload/codecs/checksums.ts';
import { SECTOR_SIZE } from '../kernel-image/read-setup-header.ts';
import { SETUP_HEADER_FIELDS as field, HIGH_LOAD_ADDRESS, PARAGRAPH } from '../kernel-image/setup-header.ts';
import { checkPayload } from './check-payload.ts';
import { encodeNotes, writeFrontElf } from './front.ts';
import * as layout from './layout.ts';
import {
  type CompressOptions,
  gzipPayload,
  madePayload,
  storedPayload,
  type WrappedPayload,
} from './payload.ts';
import { type Plan, planKernel, relocationList, roundUp } from './plan.ts';
import { STUB } from './stub.ts';

export interface WrapOptions extends CompressOptions {
  /** What messages call the kernel. Default `image`. */
  readonly name?: string;
  /** Put an ELF header in front. Default false. */
  readonly elfHeader?: boolean;
  /** Change the magic of that header, so that no loader takes the file for an ELF file; implies `elfHeader`. */
  readonly mungeMagic?: boolean;
  /** Default `gzip`. */
  readonly compress?: 'none' | 'gzip';
  /** The kernel as another tool has compressed it, in place of `compress`. It has to decode to the kernel. */
  readonly payload?: Uint8Array;
  /** Give the ELF header in front a PT_NOTE with the kernel's notes. Default `drop`. */
  readonly notes?: 'keep' | 'drop';
}

const FOUR_GIB = 0x1_0000_0000;

/**
 * A bzImage of boot protocol 2.10 that unpacks, places and starts the kernel. The same input gives the same bytes.
 *
 * @param elf the whole file: ELF32 i386, ET_EXEC or ET_DYN, every PT_LOAD at 1 MiB or above
 * @throws {KernelImageError} those of an ELF file; `not-an-elf` for a bzImage; `below-1-mib`; `too-big` when kernel and stub end
 *   past 4 GiB; `relocation-kind` and `relocation-outside-file` for an ET_DYN that asks for more than R_386_RELATIVE;
 *   `notes-too-big`; `payload-format`, `corrupt-payload`, `payload-too-big` and `payload-differs` for `payload`
 * @throws the signal's reason
 */
export async function wrapKernel(elf: Uint8Array, options: WrapOptions = {}): Promise<Uint8Array> {
  const { name = 'image' } = options;
  const kernel = readKernelImage(elf, { name });
  if (kernel.format !== 'elf')
    throw new KernelImageError('not-an-elf', `${name}: is a bzImage already; expected an ELF file`);
  const plan = planKernel(kernel, elf, options.payload !== undefined);
  const payload = await makePayload(elf, plan, options);
  if (options.payload) await checkPayload(payload, elf, name);
  const notes = options.notes === 'keep' ? encodeNotes(kernel.notes) : new Uint8Array(0);
  return assemble(elf, plan, payload, notes, options);
}

async function makePayload(elf: Uint8Array, plan: Plan, options: WrapOptions): Promise<WrappedPayload> {
  if (options.payload) return madePayload(options.payload, elf.length, options.name ?? 'image');
  const list = relocationList(plan.relocations);
  const kernel = new Uint8Array(elf.length + list.length);
  kernel.set(elf);
  kernel.set(list, elf.length);
  return options.compress === 'none' ? storedPayload(kernel) : gzipPayload(kernel, options);
}

function assemble(
  elf: Uint8Array,
  plan: Plan,
  payload: WrappedPayload,
  notes: Uint8Array,
  options: WrapOptions,
): Uint8Array {
  const { name = 'image', mungeMagic = false, elfHeader = mungeMagic } = options;
  // Whole pages: then file offset and address of the 32-bit code agree modulo p_align, as the gABI has it.
  const codeOffset = layout.SETUP_SIZE + roundUp(notes.length, PAGE_SIZE);
  if (codeOffset > layout.LONGEST_SETUP) {
    throw new KernelImageError(
      'notes-too-big',
      `${name}: the notes have ${notes.length} bytes; expected at most ${layout.LONGEST_SETUP - layout.SETUP_SIZE}, because they stand in the first sectors`,
    );
  }
  const code = protectedModeCode(elf, plan, payload);
  const size = roundUp(code.bytes.length + layout.CRC_SIZE, PARAGRAPH);
  const initSize = roundUp(plan.workspace + code.moved, PAGE_SIZE);
  if (plan.linkStart + initSize > FOUR_GIB) {
    throw new KernelImageError(
      'too-big',
      `${name}: the kernel starts at 0x${plan.linkStart.toString(16)} and takes 0x${initSize.toString(16)} bytes to unpack; expected an end of at most 0x100000000`,
    );
  }
  const image = new Uint8Array(codeOffset + size);
  image.set(stubBytes().subarray(0, layout.SETUP_SIZE));
  image.set(notes, layout.SETUP_SIZE);
  image.set(code.bytes, codeOffset);
  writeSetupHeader(image, plan, {
    codeOffset,
    size,
    payload: code.payload,
    length: payload.bytes.length,
    initSize,
  });
  if (elfHeader || mungeMagic) {
    const entry = plan.relocatable ? plan.linkStart : HIGH_LOAD_ADDRESS;
    writeFrontElf(image, {
      munged: mungeMagic,
      relocatable: plan.relocatable,
      entry,
      code: {
        offset: codeOffset,
        fileSize: size,
        memorySize: Math.max(size, plan.linkStart + initSize - entry),
      },
      align: plan.alignment,
      ...(notes.length > 0 && {
        notes: { offset: layout.SETUP_SIZE, size: notes.length },
      }),
    });
  }
  // boot.rst, "The image checksum": the register over the whole file, these four bytes included, ends at 0.
  const covered = image.subarray(0, image.length - layout.CRC_SIZE);
  new DataView(image.buffer).setUint32(covered.length, ~crc32(covered) >>> 0, true);
  return image;
}

interface HeaderValues {
  readonly codeOffset: number;
  readonly size: number;
  /** Offset of the payload in the 32-bit code, and its length. */
  readonly payload: number;
  readonly length: number;
  readonly initSize: number;
}

function writeSetupHeader(image: Uint8Array, plan: Plan, values: HeaderValues): void {
  const view = new DataView(image.buffer);
  view.setUint8(field.setup_sects.offset, values.codeOffset / SECTOR_SIZE - 1);
  view.setUint32(field.syssize.offset, values.size / PARAGRAPH, true);
  view.setUint32(field.kernel_alignment.offset, plan.alignment, true);
  view.setUint8(field.relocatable_kernel.offset, plan.relocatable ? 1 : 0);
  view.setUint8(field.min_alignment.offset, Math.log2(plan.alignment));
  view.setUint32(field.payload_offset.offset, values.payload, true);
  view.setUint32(field.payload_length.offset, values.length, true);
  view.setBigUint64(field.pref_address.offset, BigInt(plan.linkStart), true);
  view.setUint32(field.init_size.offset, values.initSize, true);
}

interface ProtectedModeCode {
  readonly bytes: Uint8Array;
  /** Offset of the payload in it. */
  readonly payload: number;
  /** Bytes that stand above the workspace: the code, and the relocation list behind it. */
  readonly moved: number;
}

/** The 32-bit code with its parameters, its segment table, and the payload. */
function protectedModeCode(elf: Uint8Array, plan: Plan, payload: WrappedPayload): ProtectedModeCode {
  const stub = stubBytes().subarray(layout.SETUP_SIZE);
  const list = relocationList(plan.relocations);
  const segmentCount = plan.segments.length + (list.length > 0 ? 1 : 0);
  const start = roundUp(stub.length + segmentCount * layout.SEGMENT_ENTRY_SIZE, PARAGRAPH);
  const imageSize = roundUp(start + payload.bytes.length, PARAGRAPH);
  const bytes = new Uint8Array(start + payload.bytes.length);
  const view = new DataView(bytes.buffer);
  bytes.set(stub);
  bytes.set(payload.bytes, start);

  const parameters = stub.length - layout.PARAMETERS.length * 4;
  const message = view.getUint32(parameters + layout.PARAMETERS.indexOf('message') * 4, true);
  const values: Readonly<Record<layout.Parameter, number>> = {
    kind: kindOf(payload.format),
    relocatable: plan.relocatable ? 1 : 0,
    alignment: plan.alignment,
    linkStart: plan.linkStart,
    workspace: plan.workspace,
    // The code that is moved is what the loader has loaded: all of it is there, up to its last paragraph.
    imageSize: roundUp(bytes.length, 4),
    payload: start,
    deflate: start + payload.deflate,
    payloadEnd: start + payload.bytes.length,
    entry: plan.entry,
    relocationCount: plan.relocations.length,
    virtualOffset: plan.virtualOffset,
    message,
    segmentCount,
  };
  layout.PARAMETERS.forEach((name, index) => {
    view.setUint32(parameters + index * 4, values[name], true);
  });
  const table = [
    ...plan.segments.map(s => [s.fileOffset, s.contents.length, s.physical, s.memorySize]),
    // The list is one more part of the unpacked payload; it goes behind the code that has moved.
    ...(list.length > 0
      ? [[elf.length, list.length, plan.linkStart + plan.workspace + values.imageSize, list.length]]
      : []),
  ];
  table.flat().forEach((word, index) => {
    view.setUint32(stub.length + index * 4, word, true);
  });
  if (values.kind === layout.KIND_FOREIGN) bytes.set(foreignMessage(payload.format), message);
  return { bytes, payload: start, moved: imageSize + list.length };
}

function kindOf(format: PayloadFormat): number {
  if (format === 'elf') return layout.KIND_ELF;
  return format === 'gzip' ? layout.KIND_GZIP : layout.KIND_FOREIGN;
}

function foreignMessage(format: PayloadFormat): Uint8Array {
  return new TextEncoder().encode(
    `startup32 wrap: this code cannot unpack ${format}; start the image with a loader that unpacks the payload itself\r\n\0`,
  );
}

/** setup part and 32-bit code, as built from stub.S. */
const stubBytes = (): Uint8Array => Uint8Array.from(atob(STUB), character => character.charCodeAt(0));
