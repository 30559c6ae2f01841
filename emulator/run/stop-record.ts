/** Makes a Stop from a cause: adds everything that a report needs of the machine's state at that moment. */
import { MAX_INSTRUCTION_SIZE, makeBlock } from '../blocks.ts';
import { CR4_PAE, EFER_NXE } from '../control-bits.ts';
import { type CpuState, linearEip } from '../cpu-state.ts';
import { decodeInstruction } from '../decode/instruction.ts';
import type { Guest } from '../guest.ts';
import { nearRegions } from '../memory.ts';
import { operandOf } from '../operands/index.ts';
import type { Operand } from '../operands/types.ts';
import { accessProblem, PAGE_SIZE, type PageFaultProblem, pagingIsOn, walk } from '../paging.ts';
import { deliveryOf } from '../sensitive/index.ts';
import { situationOf } from '../situation.ts';
import type { Access, Cause, CodeWindow, Exception, Stop, StopInstruction } from '../stop.ts';
import type { RefusedAccess } from '../unicorn/processor.ts';
import { PAGE_FAULT } from '../vectors.ts';

/** Code shown before and after the instruction, in bytes. */
const BYTES_BEFORE = 64;
const BYTES_AFTER = 32;
/** Bytes of code that a situation shows. */
const CODE_BYTES = 32;
/** Stops that say nothing about the instruction they stand at. */
const NOT_ABOUT_THE_INSTRUCTION: ReadonlySet<Cause['kind']> = new Set([
  'reached',
  'budget',
  'timeout',
  'interrupted',
]);

export interface Counted {
  readonly instructions: number;
  readonly counted: boolean;
  readonly trail: readonly number[];
}

export function describeStop(
  guest: Guest,
  cpu: CpuState,
  cause: Cause,
  exception: Exception | undefined,
  counted: Counted,
): Stop {
  const instruction = instructionAt(guest, cpu);
  const operand = NOT_ABOUT_THE_INSTRUCTION.has(cause.kind) ? undefined : operandAt(guest, cpu);
  const common = {
    cpu,
    code: codeWindow(guest, cpu, counted.trail.at(-1) ?? linearEip(cpu), instruction?.bytes.length ?? 0),
    instructions: counted.instructions,
    counted: counted.counted,
    trail: counted.trail,
    observations: guest.observer.list(counted.counted),
    ...(instruction ? { instruction } : {}),
    ...(operand ? { operand } : {}),
    ...(exception
      ? {
          exception,
          delivery: deliveryOf(exception.vector, cpu, guest.entry.platform, (linear, size) =>
            guest.readLinear(linear, size),
          ),
        }
      : {}),
  };
  return { ...common, ...cause } as Stop;
}

function instructionAt(guest: Guest, cpu: CpuState): StopInstruction | undefined {
  const address = linearEip(cpu);
  const bytes = guest.readLinear(address, MAX_INSTRUCTION_SIZE);
  if (bytes.length === 0) return undefined;
  const { length, valid } = decodeInstruction(bytes, address, guest.state.bits, cpu.registers);
  return { address, bytes: bytes.subarray(0, valid ? length : Math.max(length, 1)) };
}

function operandAt(guest: Guest, cpu: CpuState): Operand | undefined {
  const address = linearEip(cpu);
  const bytes = guest.readLinear(address, CODE_BYTES);
  if (bytes.length === 0) return undefined;
  const instruction = decodeInstruction(bytes, address, guest.state.bits, cpu.registers);
  return instruction.valid ? operandOf(situationOf(guest, cpu, instruction, bytes)) : undefined;
}

function codeWindow(guest: Guest, cpu: CpuState, block: number, length: number): CodeWindow {
  const eip = linearEip(cpu);
  const end = eip + length + BYTES_AFTER;
  let blockStart = eip;
  if (block < eip) {
    const { offsets } = makeBlock(block, eip - block, guest.state.bits, (at, size) => guest.code(at, size));
    const first = offsets.find(offset => block + offset >= eip - BYTES_BEFORE);
    if (first !== undefined) blockStart = block + first;
  }
  return { blockStart, bytes: guest.readLinear(blockStart, end - blockStart) };
}

/** A #PF, from CR2, the error code and the tables as they are. */
export function causeOfPageFault(guest: Guest, cpu: CpuState, errorCode: number): Cause {
  const address = cpu.control.cr2;
  const read = (physical: number): number | undefined => guest.memory.read32(physical);
  const result = walk(address, cpu.control, read);
  const eip = linearEip(cpu);
  const inCode = address >= eip && address < eip + MAX_INSTRUCTION_SIZE;
  const fetch =
    (errorCode & 0x10) !== 0 ||
    (inCode &&
      (address === eip || address % PAGE_SIZE === 0) &&
      accessProblem(result, 'fetch', cpu.cpl, cpu.control) !== undefined);
  const access: Access = fetch ? 'fetch' : (errorCode & 2) !== 0 ? 'write' : 'read';
  return {
    kind: 'page-fault',
    access,
    address,
    walk: result.steps,
    problem: accessProblem(result, access, cpu.cpl, cpu.control) ?? 'not-present',
    near: nearRegions(address, guest.entry.regions),
  };
}

/** Bits of a #PF error code: SDM vol. 3, 4.7. */
const FAULT = { protection: 1, write: 2, user: 4, reserved: 8, fetch: 0x10 } as const;

/**
 * Engines give any byte of an access that crosses into a page which refuses it: here it is always the first.
 *
 * @returns that byte's linear address, and how many bytes of the access follow
 */
export function firstRefused(
  guest: Guest,
  cpu: CpuState,
  address: number,
): { readonly address: number; readonly size: number } | undefined {
  const page = address - (address % PAGE_SIZE);
  if (address - page >= MAX_INSTRUCTION_SIZE + 1) return undefined;
  const eip = linearEip(cpu);
  const bytes = guest.readLinear(eip, MAX_INSTRUCTION_SIZE);
  for (const use of decodeInstruction(bytes, eip, guest.state.bits, cpu.registers).memory) {
    const start = ((cpu.segments[use.segment].descriptor?.base ?? 0) + use.offset) >>> 0;
    const end = start + use.size;
    if (start < page && address < end) return { address: page, size: end - page };
  }
  return undefined;
}

/** The error code of a #PF: SDM vol. 3, 4.7. */
/** SDM vol. 3, 4.7: only then does a fetch show in the error code. */
const hasNoExecute = ({ control }: CpuState): boolean =>
  (control.cr4 & CR4_PAE) !== 0 && (control.efer & EFER_NXE) !== 0;

export function pageFaultError(problem: PageFaultProblem, access: Access, cpu: CpuState): number {
  return (
    (problem === 'not-present' ? 0 : FAULT.protection) |
    (access === 'write' ? FAULT.write : 0) |
    (cpu.cpl === 3 ? FAULT.user : 0) |
    (problem === 'reserved-bit' ? FAULT.reserved : 0) |
    (access === 'fetch' && hasNoExecute(cpu) ? FAULT.fetch : 0)
  );
}

/**
 * An engine without real paging refuses an access by its linear address, before it looks at the guest's tables: the
 * #PF that comes first on a CPU, or else the access by its physical address.
 */
export function behindTables(
  guest: Guest,
  cpu: CpuState,
  refused: RefusedAccess,
): RefusedAccess | { readonly exception: Required<Exception>; readonly address: number } {
  const { address, access } = refused;
  if (guest.processor.capabilities.paging === 'full' || !pagingIsOn(cpu.control)) return refused;
  const result = walk(address, cpu.control, physical => guest.memory.read32(physical));
  const problem = accessProblem(result, access, cpu.cpl, cpu.control);
  if (problem === undefined) return { ...refused, address: result.physical ?? address };
  return { exception: { vector: PAGE_FAULT, errorCode: pageFaultError(problem, access, cpu) }, address };
}

/** An access that the engine refused: a hole, the loader's guarded pages, or a write to ROM. */
export function causeOfMemory(guest: Guest, refused: RefusedAccess): Cause {
  const { access, address, size } = refused;
  const near = nearRegions(address, guest.entry.regions);
  if (!refused.protected) {
    const value = access === 'write' && refused.value !== undefined ? { value: refused.value } : {};
    return { kind: 'memory-hole', access, address, size, ...value, near };
  }
  const guarded = guest.entry.regions.some(
    r => r.guarded && address >= r.start && address < r.start + Math.ceil(r.size / PAGE_SIZE) * PAGE_SIZE,
  );
  if (guarded) return { kind: 'loader-memory', access, address, size, near };
  return { kind: 'rom-write', address, size, value: refused.value ?? 0, near };
}
