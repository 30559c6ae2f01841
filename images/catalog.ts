/**
 * The images as tests and benchmarks use them: where the built file is, and the Stop that is expected under each
 * protocol. The expectations are worked out by hand from the sources, the symbol tables and the manuals, and are
 * never written by startup32.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BootOptions } from '../boot-protocols/protocol.ts';
import type {
  Access,
  FlagChange,
  HypercallVia,
  RuleId,
  SegmentLoadProblem,
  StopKind,
  StopOf,
} from '../emulator/stop.ts';
import { IMAGE_RECIPES } from './recipes.ts';

/** A number from 0 to 2^32 - 1 as `0x` and hexadecimal digits. */
export type HexString = string;

/** What must be true of the Stop. A field that is absent is not looked at, but for the exception (see `vector`). */
export interface ExpectedStop {
  readonly kind: StopKind;
  /** `symbol+0xoffset` of the image's own symbol table; the same place as `address`. */
  readonly at?: string;
  /** Linear address of the instruction. */
  readonly address: HexString;
  /** As objdump prints it, in AT&T syntax, with single spaces. */
  readonly instruction?: string;
  /** The exception's vector; null: the CPU raises none. */
  readonly vector: number | null;
  /** Only for the vectors that push one. */
  readonly errorCode?: number;
  /** Instructions retired before it; a repeated string instruction is one. */
  readonly instructions?: number;

  readonly rule?: RuleId;
  readonly port?: {
    readonly number: number;
    readonly size: 1 | 2 | 4;
    readonly direction: 'in' | 'out';
    readonly value?: HexString;
  };
  /** popf and iret; in any order. */
  readonly lost?: readonly FlagChange[];
  readonly register?: string;
  readonly selector?: HexString;
  readonly problem?:
    | SegmentLoadProblem
    | StopOf<'segment-access'>['problem']
    | StopOf<'page-fault'>['problem'];
  readonly access?: Access;
  readonly offset?: HexString;
  readonly size?: number;
  /** The address that faulted (page-fault), rather than the instruction's. */
  readonly faultAddress?: HexString;
  readonly prefixed?: string;
  readonly interrupt?: number;
  readonly via?: HypercallVia;
  readonly number?: number;
  /** Some of the arguments, by register. */
  readonly arguments?: Readonly<Record<string, HexString>>;
  readonly interruptsEnabled?: boolean;
  /** shutdown: the vector that started it. */
  readonly first?: number;
}

export interface Expectation {
  /** The protocol, as in `--as`. */
  readonly as: string;
  readonly knobs?: Omit<BootOptions, 'cmdline' | 'initrd'>;
  readonly cmdline?: string;
  readonly stop: ExpectedStop;
  /** What the kernel has printed on COM1 by then. */
  readonly serial?: string;
}

export interface CatalogImage {
  readonly name: string;
  /** Absolute path of the built image. */
  readonly file: string;
  readonly format: 'elf' | 'bzimage';
  readonly expected: readonly Expectation[];
}

/** The absolute path of `images/`, from the sources and from `dist/images/` alike. */
export function imagesFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('there is no package.json above images/catalog');
    folder = parent;
  }
  return join(folder, 'images');
}

/** Every image in the repository, in the order of `recipes.ts`. */
export function imageCatalog(): readonly CatalogImage[] {
  const folder = imagesFolder();
  return IMAGE_RECIPES.map(({ name, file, format }) => ({
    name,
    file: join(folder, name, file),
    format,
    expected: JSON.parse(readFileSync(join(folder, name, 'expected.json'), 'utf8')) as Expectation[],
  }));
}

/** One expectation as a line for a test's name: `lguest`, `contract ring=1 paging=pae "b"`. */
export function expectationTitle(expectation: Expectation): string {
  const knobs = Object.entries(expectation.knobs ?? {}).map(([name, value]) => `${name}=${value}`);
  const cmdline = expectation.cmdline === undefined ? [] : [JSON.stringify(expectation.cmdline)];
  return [expectation.as, ...knobs, ...cmdline].join(' ');
}
