/** Whether an access that the Machine makes in place of the engine would be refused: page tables, and what is behind them. */
import type { CpuState } from './cpu-state.ts';
import type { Guest } from './guest.ts';
import { nearRegions } from './memory.ts';
import { accessProblem, PAGE_SIZE, walk } from './paging.ts';
import type { DataAccess, Refusal } from './sensitive/verdict.ts';
import { PAGE_FAULT } from './vectors.ts';

/** Bits of a #PF error code: SDM vol. 3, 4.7. */
const PF_PROTECTION = 1;
const PF_WRITE = 2;
const PF_USER = 4;
const PF_RESERVED = 8;

/** @returns the first refusal in address order; `undefined` when the whole access succeeds */
export function refusalOf(guest: Guest, cpu: CpuState, wanted: DataAccess): Refusal | undefined {
  for (let done = 0; done < wanted.size; ) {
    const linear = (wanted.linear + done) % 2 ** 32;
    const size = Math.min(wanted.size - done, PAGE_SIZE - (linear % PAGE_SIZE));
    const refusal = inPage(guest, cpu, { ...wanted, linear, size });
    if (refusal) return refusal;
    done += size;
  }
  return undefined;
}

function inPage(guest: Guest, cpu: CpuState, wanted: DataAccess): Refusal | undefined {
  const { linear, size, access, cpl, system } = wanted;
  const { regions } = guest.entry;
  const result = walk(linear, cpu.control, physical => guest.memory.read32(physical));
  const problem = accessProblem(result, access, cpl, cpu.control);
  if (problem !== undefined) {
    const errorCode =
      (problem === 'not-present' ? 0 : PF_PROTECTION) |
      (access === 'write' ? PF_WRITE : 0) |
      (cpl === 3 ? PF_USER : 0) |
      (problem === 'reserved-bit' ? PF_RESERVED : 0);
    const near = nearRegions(linear, regions);
    return {
      cause: { kind: 'page-fault', access, address: linear, walk: result.steps, problem, near },
      exception: { vector: PAGE_FAULT, errorCode },
    };
  }
  const physical = result.physical ?? linear;
  const near = nearRegions(physical, regions);
  if (!guest.memory.bankOf(physical)) {
    return { cause: { kind: 'memory-hole', access, address: physical, size, near } };
  }
  const guarded = regions.some(
    r => r.guarded && physical >= r.start && physical < r.start + Math.ceil(r.size / PAGE_SIZE) * PAGE_SIZE,
  );
  return guarded && !system
    ? { cause: { kind: 'loader-memory', access, address: physical, size, near } }
    : undefined;
}
