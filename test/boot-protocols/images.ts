/** Kernel images made by hand for the boot protocol tests. */
import type { BzImage, ElfImage, Note, Segment } from '../../src/kernel-image/kernel-image.ts';

const common = {
  name: 'vmlinux',
  size: 0,
  sha256: '',
  notes: [],
  symbols: [],
  warnings: [],
};

export const segment = (
  name: string,
  physical: number,
  virtual: number,
  contents: Uint8Array,
  memorySize: number,
): Segment => ({
  name,
  physical,
  virtual,
  contents,
  memorySize,
  fileOffset: 0x1000,
  readable: true,
  writable: true,
  executable: true,
});

/** A Linux-like vmlinux: linked at 3 GiB + 1 MiB, loaded at 1 MiB, entered by its physical address. */
export const vmlinux = (overrides: Partial<ElfImage> = {}): ElfImage => ({
  ...common,
  format: 'elf',
  type: 'ET_EXEC',
  entry: 0x100000,
  programHeaders: [],
  sections: [],
  segments: [
    segment('LOAD 0', 0x100000, 0xc0100000, Uint8Array.of(0xfc, 0xfa, 0xf4), 0x1800),
    segment('LOAD 1', 0x102000, 0xc0102000, Uint8Array.of(1, 2, 3, 4), 0x3000),
  ],
  ...overrides,
});

export interface HeaderFields {
  version?: number;
  loadflags?: number;
  relocatable?: boolean;
  kernelAlignment?: number;
  /** log2 of bytes. */
  minAlignment?: number;
  code32Start?: number;
  prefAddress?: number;
  initSize?: number;
  initrdAddrMax?: number;
  cmdlineSize?: number;
}

/** A bzImage whose header ends at 0x268, with a mark in its last byte. */
export function bzImage(fields: HeaderFields = {}, codeSize = 0x2000): BzImage {
  const header = {
    version: 0x20a,
    loadflags: 1,
    relocatable: false,
    kernelAlignment: 0x200000,
    minAlignment: 0,
    code32Start: 0x100000,
    prefAddress: 0x100000,
    initSize: 0x5000,
    initrdAddrMax: 0x7fffffff,
    cmdlineSize: 255,
    ...fields,
  };
  const raw = new Uint8Array(0x268 - 0x1f1);
  const view = new DataView(raw.buffer);
  const at = (offset: number): number => offset - 0x1f1;
  view.setUint8(at(0x1f1), 4);
  view.setUint16(at(0x1fe), 0xaa55, true);
  view.setUint16(at(0x200), 0x66eb, true);
  view.setUint32(at(0x202), 0x53726448, true);
  view.setUint16(at(0x206), header.version, true);
  view.setUint8(at(0x211), header.loadflags);
  view.setUint32(at(0x214), header.code32Start, true);
  view.setUint32(at(0x230), header.kernelAlignment, true);
  view.setUint8(at(0x234), header.relocatable ? 1 : 0);
  view.setUint8(at(0x235), header.minAlignment);
  view.setUint32(at(0x260), header.initSize, true);
  raw[raw.length - 1] = 0x5a;
  return {
    ...common,
    name: 'bzImage',
    format: 'bzimage',
    is64Bit: false,
    protectedModeOffset: 0xa00,
    segments: [
      segment(
        'protected-mode code',
        header.relocatable ? header.prefAddress : 0x100000,
        0x100000,
        new Uint8Array(codeSize).fill(0x90),
        Math.max(codeSize, header.initSize),
      ),
    ],
    setup: {
      ...header,
      setupSects: 4,
      end: 0x268,
      raw,
      fields: [{ name: 'min_alignment', offset: 0x235, size: 1, value: header.minAlignment, since: 0x020a }],
      xloadflags: 0,
    },
  };
}

function note(type: number, value: number | string): Note {
  const description =
    typeof value === 'string'
      ? new TextEncoder().encode(`${value}\0`)
      : new Uint8Array(Uint32Array.of(value).buffer);
  return { owner: 'Xen', type, description, offset: 0 };
}

/** Types of xen/include/public/elfnote.h. */
export const NOTE = {
  entry: 1,
  hypercallPage: 2,
  virtBase: 3,
  paddrOffset: 4,
  xenVersion: 5,
  guestOs: 6,
  loader: 8,
  paeMode: 9,
  features: 10,
  hvStartLow: 12,
  initP2m: 15,
  modStartPfn: 16,
  supportedFeatures: 17,
  phys32Entry: 18,
} as const;

export type XenNotes = Partial<Record<keyof typeof NOTE, number | string>>;

export const XEN_NOTES: XenNotes = {
  entry: 0xc0100000,
  hypercallPage: 0xc0101000,
  virtBase: 0xc0000000,
  paddrOffset: 0,
  xenVersion: 'xen-3.0',
  guestOs: 'linux',
  loader: 'generic',
  paeMode: 'yes',
};

/** A PV kernel with the notes of Linux 2.6.27; a note that is undefined is left out. */
export const xenKernel = (notes: XenNotes = XEN_NOTES, overrides: Partial<ElfImage> = {}): ElfImage =>
  vmlinux({
    name: 'vmlinux-xen',
    segments: [segment('LOAD 0', 0x100000, 0xc0100000, new Uint8Array(0x2800).fill(0x90), 0x3000)],
    notes: (Object.keys(NOTE) as (keyof typeof NOTE)[]).flatMap(key => {
      const value = notes[key];
      return value === undefined ? [] : note(NOTE[key], value);
    }),
    ...overrides,
  });

/** An image that the protocol starts. */
export function startableBy(protocol: string): ElfImage {
  switch (protocol) {
    case 'xen':
      return xenKernel();
    case 'xen-supervisor':
      return xenKernel({ ...XEN_NOTES, features: 'supervisor_mode_kernel' });
    case 'pvh':
      return xenKernel({ ...XEN_NOTES, phys32Entry: 0x100000 });
    case 'multiboot':
      return vmlinux({ multiboot: { offset: 0x1000, flags: 3 } });
    default:
      return vmlinux();
  }
}
