/** A kernel linked 3 GiB above where it is loaded, with one word that has to change when it is moved: gABI ch. 5. */
import { buildElf, bytesOf, le32 } from '../support/elf-builder.ts';

const PHYSICAL = 0x400000;
const VIRTUAL = 0xc0400000;
const CONTENTS = 52 + 2 * 32;
/** Not at the start: there the stub itself may be loaded. */
const ENTRY = 4;
const WORD = 0x10;
const REL = 0x18;
const DYNAMIC = 0x20;
const PT_DYNAMIC = 2;
const ET_DYN = 3;

export interface RelocatableKernel {
  readonly kernel: Uint8Array;
  /** Physical address of the entry. */
  readonly entry: number;
  readonly word: { readonly physical: number; readonly virtual: number; readonly value: number };
}

export function relocatableKernel(
  options: {
    readonly virtualEntry?: boolean;
    readonly relocationType?: number;
    readonly fixed?: boolean;
  } = {},
): RelocatableKernel {
  const { relocationType = 8 } = options; // R_386_RELATIVE
  const value = VIRTUAL + 0x123;
  const contents = bytesOf(
    new Uint8Array(WORD).fill(0xf4),
    le32(value, 0),
    le32(VIRTUAL + WORD, relocationType),
    // DT_REL, DT_RELSZ, DT_RELENT, DT_NULL
    le32(17, VIRTUAL + REL, 18, 8, 19, 8, 0, 0),
  );
  const kernel = buildElf({
    entry: (options.virtualEntry ? VIRTUAL : PHYSICAL) + ENTRY,
    segments: [
      { physical: PHYSICAL, virtual: VIRTUAL, contents },
      {
        type: PT_DYNAMIC,
        physical: PHYSICAL + DYNAMIC,
        offset: CONTENTS + DYNAMIC,
        fileSize: 32,
        memorySize: 32,
      },
    ],
  });
  if (!options.fixed) kernel[0x10] = ET_DYN;
  return {
    kernel,
    entry: PHYSICAL + ENTRY,
    word: { physical: PHYSICAL + WORD, virtual: VIRTUAL + WORD, value },
  };
}
