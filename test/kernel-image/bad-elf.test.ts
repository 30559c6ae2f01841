import { describe, expect, it } from 'vitest';
import { buildElf, le32, PT_NOTE, patched } from '../support/elf-builder.ts';
import { refusal } from './expect-error.ts';

const code = Uint8Array.of(0xfc, 0xfa, 0xf4, 0x90);
const good = buildElf({ segments: [{ physical: 0x100000, contents: code }] });
const u16 = (value: number) => [value & 0xff, value >>> 8];

// The layout of Elf32_Ehdr and Elf32_Phdr; the one program header stands at 0x34 and its contents at 0x54.
const PHDR = 0x34;
const P_OFFSET = PHDR + 4;
const P_PADDR = PHDR + 12;
const P_MEMSZ = PHDR + 20;

describe('a file that is no kernel is refused:', () => {
  const cases: readonly (readonly [what: string, file: Uint8Array, code: string, message: string])[] = [
    [
      'an empty file',
      new Uint8Array(0),
      'empty-file',
      'kernel: the file has no bytes; expected 7f 45 4c 46 (ELF) at offset 0x0, or "HdrS" at offset 0x202 (bzImage)',
    ],
    [
      'text',
      new TextEncoder().encode('#!/bin/sh\n'),
      'not-a-kernel',
      'kernel: 23 21 2f 62 at offset 0x0, file of 0xa bytes; expected 7f 45 4c 46 (ELF) at offset 0x0, or "HdrS" at offset 0x202 (bzImage)',
    ],
    [
      'a compressed vmlinux',
      Uint8Array.of(0x1f, 0x8b, 8, 0),
      'not-a-kernel',
      'kernel: 1f 8b 08 00 at offset 0x0 (gzip data, to be decompressed first?), file of 0x4 bytes; expected 7f 45 4c 46 (ELF) at offset 0x0, or "HdrS" at offset 0x202 (bzImage)',
    ],
    [
      'an ELF file cut in its header',
      good.subarray(0, 0x33),
      'truncated-file',
      'kernel: the file ends at offset 0x33, inside its ELF header; expected at least 0x34 bytes',
    ],
    [
      'four bytes of ELF',
      good.subarray(0, 4),
      'truncated-file',
      'kernel: the file ends at offset 0x4, inside its ELF header; expected at least 0x34 bytes',
    ],
    [
      'a 64-bit vmlinux',
      patched(patched(good, 4, [2]), 0x12, [62]),
      'elf64',
      'kernel: EI_CLASS at offset 0x4 is 2 (ELF64); expected 1 (ELF32), because a 64-bit vmlinux has no 32-bit entry (its bzImage has one)',
    ],
    [
      'ELF64 for another machine',
      patched(patched(good, 4, [2]), 0x12, [183]),
      'elf64',
      'kernel: EI_CLASS at offset 0x4 is 2 (ELF64); expected 1 (ELF32)',
    ],
    [
      'an unknown class',
      patched(good, 4, [7]),
      'elf-class',
      'kernel: EI_CLASS at offset 0x4 is 7; expected 1 (ELF32)',
    ],
    [
      'big-endian ELF',
      patched(good, 5, [2]),
      'big-endian',
      'kernel: EI_DATA at offset 0x5 is 2 (big-endian); expected 1 (little-endian)',
    ],
    [
      'no byte order',
      patched(good, 5, [0]),
      'elf-data',
      'kernel: EI_DATA at offset 0x5 is 0; expected 1 (little-endian)',
    ],
    [
      'another machine',
      patched(good, 0x12, [40]),
      'not-i386',
      'kernel: e_machine at offset 0x12 is 40; expected 3 (EM_386)',
    ],
    [
      'an object file',
      patched(good, 0x10, [1]),
      'elf-type',
      'kernel: e_type at offset 0x10 is 1 (ET_REL); expected 2 (ET_EXEC) or 3 (ET_DYN)',
    ],
    [
      'a core file',
      patched(good, 0x10, [4]),
      'elf-type',
      'kernel: e_type at offset 0x10 is 4 (ET_CORE); expected 2 (ET_EXEC) or 3 (ET_DYN)',
    ],
  ];
  it.each(cases)('%s', (_what, file, code, message) => {
    expect(refusal(file)).toEqual({ code, message });
  });
});

describe('program headers that cannot be used are refused:', () => {
  const cases: readonly (readonly [what: string, file: Uint8Array, code: string, message: string])[] = [
    [
      'none',
      buildElf({ segments: [] }),
      'no-load-segment',
      'kernel: e_phoff at offset 0x1c is 0x0 and e_phnum at offset 0x2c is 0; expected program headers with at least one PT_LOAD',
    ],
    [
      'no PT_LOAD among them',
      buildElf({ segments: [{ type: PT_NOTE, contents: code }] }),
      'no-load-segment',
      'kernel: none of the 1 program headers at offset 0x34 is a PT_LOAD with p_memsz > 0; expected at least one',
    ],
    [
      'only an empty PT_LOAD',
      buildElf({ segments: [{ physical: 0x100000 }] }),
      'no-load-segment',
      'kernel: none of the 1 program headers at offset 0x34 is a PT_LOAD with p_memsz > 0; expected at least one',
    ],
    [
      'PN_XNUM of them',
      patched(good, 0x2c, u16(0xffff)),
      'too-many-program-headers',
      'kernel: e_phnum at offset 0x2c is 0xffff (PN_XNUM: 65535 program headers or more); expected fewer',
    ],
    [
      'e_phentsize 0',
      patched(good, 0x2a, u16(0)),
      'program-header-size',
      'kernel: e_phentsize at offset 0x2a is 0; expected 32',
    ],
    [
      'the e_phentsize of ELF64',
      patched(good, 0x2a, u16(56)),
      'program-header-size',
      'kernel: e_phentsize at offset 0x2a is 56; expected 32',
    ],
    [
      'more of them than the file holds',
      patched(good, 0x2c, u16(0xfffe)),
      'program-headers-outside-file',
      'kernel: 65534 program headers at offset 0x34 end at 0x1ffff4; expected them inside the file of 0x58 bytes',
    ],
    [
      'a table after the end of the file',
      patched(good, 0x1c, le32(0xffff_ffff)),
      'program-headers-outside-file',
      'kernel: 1 program headers at offset 0xffffffff end at 0x10000001f; expected them inside the file of 0x58 bytes',
    ],
    [
      'a cut table',
      good.subarray(0, 0x53),
      'program-headers-outside-file',
      'kernel: 1 program headers at offset 0x34 end at 0x54; expected them inside the file of 0x53 bytes',
    ],
  ];
  it.each(cases)('%s', (_what, file, code, message) => {
    expect(refusal(file)).toEqual({ code, message });
  });
});

describe('segments that cannot be loaded are refused:', () => {
  const cases: readonly (readonly [what: string, file: Uint8Array, code: string, message: string])[] = [
    [
      'contents after the end of the file',
      patched(good, P_OFFSET, le32(0x56)),
      'segment-outside-file',
      'kernel: LOAD 0 (program header at offset 0x34) has its contents at offsets 0x56 to 0x5a; expected them inside the file of 0x58 bytes',
    ],
    [
      'contents cut off',
      good.subarray(0, 0x57),
      'segment-outside-file',
      'kernel: LOAD 0 (program header at offset 0x34) has its contents at offsets 0x54 to 0x58; expected them inside the file of 0x57 bytes',
    ],
    [
      'p_filesz > p_memsz',
      patched(good, P_MEMSZ, le32(3)),
      'segment-file-size',
      'kernel: LOAD 0 (program header at offset 0x34) has p_filesz 0x4 and p_memsz 0x3; expected p_filesz <= p_memsz',
    ],
    [
      'p_memsz of 4 GiB',
      patched(patched(good, P_PADDR, le32(0)), P_MEMSZ, le32(0xffff_ffff)),
      'segment-too-big',
      'kernel: LOAD 0 (program header at offset 0x34) has p_memsz 0xffffffff, in pages 4 GiB; expected at most 0xfffff000',
    ],
    [
      'a segment that wraps at 4 GiB',
      patched(good, P_PADDR, le32(0xffff_fffd)),
      'segment-wraps',
      'kernel: LOAD 0 (program header at offset 0x34) has p_paddr 0xfffffffd and p_memsz 0x4, which ends at 0x100000001; expected an end of at most 0x100000000',
    ],
    [
      'two that share a byte',
      buildElf({
        segments: [
          { physical: 0x100003, contents: code },
          { physical: 0x100000, contents: code },
        ],
      }),
      'segments-overlap',
      'kernel: LOAD 1 ends at physical 0x100004 (contents at offset 0x78) and LOAD 0 starts at 0x100003 (contents at offset 0x74); expected segments that do not overlap',
    ],
    [
      'two that share a byte of zero-fill',
      buildElf({
        segments: [
          { physical: 0x100000, contents: code, memorySize: 0x1001 },
          { physical: 0x101000, contents: code },
        ],
      }),
      'segments-overlap',
      'kernel: LOAD 0 ends at physical 0x101001 (contents at offset 0x74) and LOAD 1 starts at 0x101000 (contents at offset 0x78); expected segments that do not overlap',
    ],
    [
      'an entry just past the segment',
      buildElf({ segments: [{ physical: 0x100000, virtual: 0xc0100000, contents: code }], entry: 0x100004 }),
      'entry-outside-segments',
      'kernel: e_entry at offset 0x18 is 0x100004; expected an address inside a PT_LOAD segment (LOAD 0: physical 0x100000+0x4, virtual 0xc0100000+0x4)',
    ],
  ];
  it.each(cases)('%s', (_what, file, code, message) => {
    expect(refusal(file)).toEqual({ code, message });
  });
});
