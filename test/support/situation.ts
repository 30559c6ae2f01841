/** A Situation for tests of evaluators: a flat ring-1 guest at 0x100000 with 64 KiB of memory from 0, changed as wanted. */
import { CPU_MODELS } from '../../emulator/cpu-models/index.ts';
import type { CpuState, Ring } from '../../emulator/cpu-state.ts';
import { decodeInstruction } from '../../emulator/decode/instruction.ts';
import type { Platform } from '../../emulator/entry-state.ts';
import { encodeDescriptor, flatCode, flatData } from '../../emulator/segmentation.ts';
import { MsrFile, privilegeState, type Situation } from '../../emulator/sensitive/index.ts';

export const GDT = 0x800;
export const STACK = 0x4000;
export const IDT = 0x1000;

export interface SituationOptions {
  readonly bytes: readonly number[];
  readonly ring?: Ring;
  readonly eflags?: number;
  readonly cpu?: Partial<CpuState>;
  readonly registers?: Partial<CpuState['registers']>;
  readonly platform?: Partial<Platform>;
  /** Dwords in memory, by address. */
  readonly memory?: Readonly<Record<number, number>>;
  readonly gdt?: boolean;
}

export function situation(options: SituationOptions): Situation {
  const ring = options.ring ?? 1;
  const memory = new DataView(new ArrayBuffer(0x10000));
  const put = (address: number, value: number): void => memory.setUint32(address, value, true);
  for (const [i, d] of [
    flatCode(ring),
    flatData(ring),
    flatCode(0),
    flatData(0),
    { ...flatData(ring), present: false },
  ].entries()) {
    const { low, high } = encodeDescriptor(d);
    put(GDT + 8 * (i + 1), low);
    put(GDT + 8 * (i + 1) + 4, high);
  }
  for (const [address, value] of Object.entries(options.memory ?? {})) put(Number(address), value);
  const data = { selector: 0x10 | ring, descriptor: flatData(ring) };
  const cpu: CpuState = {
    registers: { eax: 0, ecx: 0, edx: 0, ebx: 0, esp: STACK, ebp: 0, esi: 0, edi: 0, ...options.registers },
    eip: 0x100000,
    eflags: options.eflags ?? 0x202,
    segments: {
      es: data,
      cs: { selector: 0x8 | ring, descriptor: flatCode(ring) },
      ss: data,
      ds: data,
      fs: data,
      gs: data,
    },
    ldtr: { selector: 0, descriptor: undefined },
    tr: { selector: 0, descriptor: undefined },
    gdtr: options.gdt === false ? { base: 0, limit: 0 } : { base: GDT, limit: 6 * 8 - 1 },
    idtr: { base: 0, limit: 0 },
    control: { cr0: 0x11, cr2: 0, cr3: 0, cr4: 0, efer: 0 },
    cpl: ring,
    ...options.cpu,
  };
  const bytes = Uint8Array.from([...options.bytes, ...Array<number>(16).fill(0x90)]);
  const [model] = CPU_MODELS;
  if (!model) throw new Error('there is no CPU model');
  return {
    instruction: decodeInstruction(bytes, cpu.eip, 32, cpu.registers),
    bytes,
    cpu,
    state: privilegeState(cpu),
    platform: { hypervisor: 'none', hypercallVectors: [], cpuModel: model.name, ...options.platform },
    model,
    read: (linear, size) => new Uint8Array(memory.buffer).slice(linear, linear + size),
    tsc: () => 1000n,
    random: () => 0x12345678,
    msrs: new MsrFile(),
  };
}
