/**
 * For engines that check page tables but then go to physical = linear: keeps such a guest honest. Mappings that are
 * not 1:1 get an alias of the same memory at the linear address; where none can be made, the engine cannot follow.
 */
import type { ControlRegisters } from './cpu-state.ts';
import type { PhysicalMemory } from './memory.ts';
import { type MappedRange, mappedRanges, pagingIsOn } from './paging.ts';
import type { HostMemory } from './unicorn/api.ts';

/** What mapping aliases needs of a CPU. */
export interface AliasTarget {
  map(address: number, size: number, memory: HostMemory, offset: number, writable: boolean): void;
  unmap(address: number, size: number): void;
}

export type FollowResult =
  | { readonly ok: true; readonly tablePages: ReadonlySet<number> }
  | { readonly ok: false; readonly detail: string };

const hex = (value: number): string => `0x${value.toString(16).padStart(8, '0')}`;

export class IdentityPaging {
  readonly #memory: PhysicalMemory;
  readonly #target: AliasTarget;
  /** linear → physical of each alias that is mapped now. */
  #aliases: readonly MappedRange[] = [];

  constructor(memory: PhysicalMemory, target: AliasTarget) {
    this.#memory = memory;
    this.#target = target;
  }

  /** Makes the engine's view agree with the guest's tables, or says where it cannot. */
  follow(control: ControlRegisters): FollowResult {
    if (!pagingIsOn(control)) {
      this.#replace([]);
      return { ok: true, tablePages: new Set() };
    }
    const { ranges, tablePages } = mappedRanges(control, physical => this.#memory.read32(physical));
    const wanted: MappedRange[] = [];
    for (const range of ranges) {
      if (range.linear === range.physical) continue;
      // Nothing behind it: an access ends in a hole either way, if there is nothing at the linear address either.
      const backed = this.#backedPart(range);
      const clash = this.#memory.banks.find(
        b => range.linear < b.start + b.size && b.start < range.linear + range.size,
      );
      if (clash) {
        return {
          ok: false,
          detail: `linear ${hex(range.linear)} maps to physical ${hex(range.physical)}, and there is memory at physical ${hex(Math.max(clash.start, range.linear))} too`,
        };
      }
      wanted.push(...backed);
    }
    this.#replace(wanted);
    return { ok: true, tablePages };
  }

  #backedPart(range: MappedRange): MappedRange[] {
    return this.#memory.banks.flatMap(bank => {
      const from = Math.max(range.physical, bank.start);
      const to = Math.min(range.physical + range.size, bank.start + bank.size);
      return from < to
        ? [{ linear: range.linear + (from - range.physical), physical: from, size: to - from }]
        : [];
    });
  }

  #replace(wanted: readonly MappedRange[]): void {
    const same = (a: MappedRange, b: MappedRange): boolean =>
      a.linear === b.linear && a.physical === b.physical && a.size === b.size;
    for (const old of this.#aliases) {
      if (!wanted.some(w => same(w, old))) this.#target.unmap(old.linear, old.size);
    }
    for (const range of wanted) {
      if (this.#aliases.some(old => same(old, range))) continue;
      const bank = this.#memory.bankOf(range.physical);
      if (bank)
        this.#target.map(
          range.linear,
          range.size,
          bank.memory,
          range.physical - bank.start,
          bank.kind === 'ram',
        );
    }
    this.#aliases = wanted;
  }
}
