/** The hard-disk image that all oracles start from: boot sector, runner, arena template and a batch of cases. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { imagesFolder } from '../../../images/catalog.ts';
import {
  arenaTemplate,
  DOUBLE_FAULT_STACK_TOP,
  DOUBLE_FAULT_TSS_BASE,
  HANDLER_SIZE,
  HANDLERS,
  REAL_MODE_HANDLER,
  RING0_STACK_TOP,
  RUNNER,
  RUNNER_STACK_TOP,
} from '../arena.ts';
import {
  ARENA,
  ARENA_SIZE,
  DATA,
  DATA_SIZE,
  GDT,
  GDT_LIMIT,
  IDT,
  IDT_LIMIT,
  RUNNER_CODE,
  RUNNER_DATA,
  STACK,
  STACK_SIZE,
  TSS,
  TSS_SELECTOR,
} from '../case.ts';
import { SETUP_FAILED } from '../encoding.ts';

const SECTOR = 512;
/** Where the BIOS puts the boot sector. */
const BOOT_SECTOR = 0x7c00;
/** Above 1 MiB: the template, then the cases. */
const PAYLOAD = 0x100000;
/** Bytes of RAM that every oracle gets. */
export const MEMORY = 64 << 20;
/** Cases of one image: what fits between the template and the end of memory, with room for the last chunk. */
export const MAX_CASE_BYTES = MEMORY - PAYLOAD - ARENA_SIZE - 0x10000;

/** The geometry that Bochs wants to be told. */
export const HEADS = 16;
export const SECTORS_PER_TRACK = 63;
export const CYLINDER = HEADS * SECTORS_PER_TRACK * SECTOR;

// Fields of the boot sector, see boot.S.
const RUNNER_SECTORS = 0x1f0;
const PAYLOAD_SECTORS = 0x1f4;

const CONSTANTS = {
  ARENA,
  ARENA_SIZE,
  BOUNCE: 0x20000,
  CASES: PAYLOAD + ARENA_SIZE,
  CHUNK_SECTORS: 64,
  DATA,
  DATA_SIZE,
  DOUBLE_FAULT_STACK_TOP,
  DOUBLE_FAULT_TSS_BASE,
  GDT,
  GDT_LIMIT,
  HANDLERS,
  HANDLER_SIZE,
  IDT,
  IDT_LIMIT,
  PAYLOAD,
  REAL_MODE_HANDLER: ((REAL_MODE_HANDLER.cs << 16) | REAL_MODE_HANDLER.ip) >>> 0,
  RING0_STACK_TOP,
  RUNNER,
  RUNNER_CODE,
  RUNNER_DATA,
  RUNNER_STACK_TOP,
  SETUP_FAILED,
  STACK,
  STACK_SIZE,
  TEMPLATE: PAYLOAD,
  TSS,
  TSS_SELECTOR,
};

/** This module may also run as JavaScript from another folder. */
const SOURCES = join(imagesFolder(), '..', 'test', 'oracle', 'image');

export interface Program {
  readonly bootSector: Uint8Array;
  readonly runner: Uint8Array;
}

let assembled: Program | undefined;

/** Boot sector and runner from their sources, once a process. @throws when GNU `as` or `ld` is missing or fails */
export function assemble(): Program {
  if (assembled) return assembled;
  const work = mkdtempSync(join(tmpdir(), 'startup32-oracle-image-'));
  try {
    assembled = {
      bootSector: build(work, 'boot', BOOT_SECTOR),
      runner: build(work, 'runner', RUNNER),
    };
    return assembled;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function build(work: string, name: string, address: number): Uint8Array {
  const symbols = Object.entries(CONSTANTS).flatMap(([symbol, value]) => ['--defsym', `${symbol}=${value}`]);
  const source = join(SOURCES, `${name}.S`);
  const run = (tool: string, options: readonly string[]): void => {
    execFileSync(tool, options, { cwd: work, stdio: ['ignore', 'ignore', 'inherit'] });
  };
  run('as', ['--32', '--fatal-warnings', '-mx86-used-note=no', ...symbols, '-o', `${name}.o`, source]);
  const link = ['-m', 'elf_i386', '--build-id=none', '--oformat', 'binary', '-z', 'noexecstack', '-N'];
  run('ld', [...link, '-Ttext', `0x${address.toString(16)}`, '-o', `${name}.bin`, `${name}.o`]);
  return new Uint8Array(readFileSync(join(work, `${name}.bin`)));
}

/** A whole number of cylinders. `cases`: {@link encodeCase} of each, in a row. */
export function diskImage(cases: readonly Uint8Array[]): Uint8Array {
  const { bootSector, runner } = assemble();
  const runnerSectors = Math.ceil(runner.length / SECTOR);
  const caseBytes = cases.reduce((sum, bytes) => sum + bytes.length, 0) + 4;
  if (caseBytes > MAX_CASE_BYTES) throw new RangeError(`${caseBytes} bytes of cases do not fit in memory`);
  const payloadSectors = Math.ceil((ARENA_SIZE + caseBytes) / SECTOR);
  const size = (1 + runnerSectors + payloadSectors) * SECTOR;
  const image = new Uint8Array(Math.ceil(size / CYLINDER) * CYLINDER);
  image.set(bootSector);
  const view = new DataView(image.buffer);
  view.setUint32(RUNNER_SECTORS, runnerSectors, true);
  view.setUint32(PAYLOAD_SECTORS, payloadSectors, true);
  image.set(runner, SECTOR);
  let offset = (1 + runnerSectors) * SECTOR;
  image.set(arenaTemplate(), offset);
  offset += ARENA_SIZE;
  for (const bytes of cases) {
    image.set(bytes, offset);
    offset += bytes.length;
  }
  return image;
}
