/** Xen's hypercalls and the hypercall page: Xen 4.14 xen/include/public/xen.h, xen/arch/x86/pv/hypercall.c. */
import type { Platform } from '../../emulator/entry-state.ts';
import type { XenHost } from '../protocol.ts';

/** The gate that ring 1 may use (TRAP_INSTR of arch-x86/xen-x86_32.h). */
const HYPERCALL_VECTOR = 0x82;
/** The number is in EAX, and so is the result. */
export const HYPERCALL_ARGUMENTS = ['ebx', 'ecx', 'edx', 'esi', 'edi', 'ebp'] as const;
const HYPERCALL_IRET = 23;
const HYPERCALL_ENTRY_SIZE = 32;
const HYPERCALL_PAGE_SIZE = 4096;

/** #BP and #OF: their gates in Xen's IDT have DPL 3 (Xen 4.14 xen/arch/x86/traps.c). */
const OPEN_VECTORS = [3, 4];

/** What a paravirtual guest of Xen finds around it. */
export const xenPlatform = (cpuModel: string): Platform => ({
  hypervisor: 'xen',
  hypercallVectors: [HYPERCALL_VECTOR],
  openVectors: OPEN_VECTORS,
  hypercallArguments: HYPERCALL_ARGUMENTS,
  cpuModel,
});

const HYPERCALLS: Readonly<Record<number, string>> = {
  0: 'set_trap_table',
  1: 'mmu_update',
  2: 'set_gdt',
  3: 'stack_switch',
  4: 'set_callbacks',
  5: 'fpu_taskswitch',
  6: 'sched_op_compat',
  7: 'platform_op',
  8: 'set_debugreg',
  9: 'get_debugreg',
  10: 'update_descriptor',
  12: 'memory_op',
  13: 'multicall',
  14: 'update_va_mapping',
  15: 'set_timer_op',
  16: 'event_channel_op_compat',
  17: 'xen_version',
  18: 'console_io',
  19: 'physdev_op_compat',
  20: 'grant_table_op',
  21: 'vm_assist',
  22: 'update_va_mapping_otherdomain',
  23: 'iret',
  24: 'vcpu_op',
  25: 'set_segment_base',
  26: 'mmuext_op',
  27: 'xsm_op',
  28: 'nmi_op',
  29: 'sched_op',
  30: 'callback_op',
  31: 'xenoprof_op',
  32: 'event_channel_op',
  33: 'physdev_op',
  34: 'hvm_op',
  35: 'sysctl',
  36: 'domctl',
  37: 'kexec_op',
  38: 'tmem_op',
  39: 'argo_op',
  40: 'xenpmu_op',
  41: 'dm_op',
  42: 'hypfs_op',
  48: 'arch_0',
  49: 'arch_1',
  50: 'arch_2',
  51: 'arch_3',
  52: 'arch_4',
  53: 'arch_5',
  54: 'arch_6',
  55: 'arch_7',
};

export const xenHypercallName = (number: number): string | undefined => HYPERCALLS[number];

/** The last number of Xen 4.2 but for arch_0 (xen/arch/x86/x86_32/entry.S, hypercall_table): tmem_op. */
const LAST_OF_4_2 = 38;
const ARCH_0 = 48;
/** Of the numbers for an architecture x86 has machine checks, and in Xen 4.14 paging_domctl_cont. */
const ARCH_1 = 49;

/** Whether a Xen does anything at a hypercall: the 4.2 series where it is a 32-bit program, else 4.14. */
export function hasHypercall(number: number, host: XenHost): boolean {
  if (HYPERCALLS[number] === undefined) return false;
  if (number >= ARCH_0) return number <= (host === 32 ? ARCH_0 : ARCH_1);
  return host === 64 || number <= LAST_OF_4_2;
}

const INT3 = 0xcc;
const VMCALL = [0x0f, 0x01, 0xc1];

/** For an HVM or PVH guest on VMX: `mov $n,%eax; vmcall; ret`, and ud2 for iret. Xen 4.14 xen/arch/x86/hvm/vmx/vmx.c. */
export function vmcallPage(): Uint8Array {
  const page = new Uint8Array(HYPERCALL_PAGE_SIZE).fill(INT3);
  for (let number = 0; number < HYPERCALL_PAGE_SIZE / HYPERCALL_ENTRY_SIZE; number++) {
    const stub = number === HYPERCALL_IRET ? [0x0f, 0x0b] : [0xb8, number, 0, 0, 0, ...VMCALL, 0xc3];
    page.set(stub, number * HYPERCALL_ENTRY_SIZE);
  }
  return page;
}

const RET = 0xc3;

/** `mov $n,%eax; int $0x82; ret` for every number; iret is `push %eax; mov $23,%eax; int $0x82`. */
export function hypercallPage(): Uint8Array {
  return stubs(number => [...moveNumber(number), 0xcd, HYPERCALL_VECTOR]);
}

/**
 * The page of a kernel in ring 0, where int $0x82 would change no stack: `pushf; cli; mov $n,%eax; lcall $0xe008,$entry; ret`
 * (Xen 4.2 xen/arch/x86/x86_32/traps.c, hypercall_page_initialise_ring0_kernel).
 *
 * @param selector __HYPERVISOR_CS
 * @param entry where Xen takes hypercalls
 */
export function hypercallPageOfRing0(selector: number, entry: number): Uint8Array {
  const bytesOf = (value: number, size: number): readonly number[] =>
    Array.from({ length: size }, (_, index) => (value >>> (8 * index)) & 0xff);
  return stubs(number => [
    0x9c,
    0xfa,
    ...moveNumber(number),
    0x9a,
    ...bytesOf(entry, 4),
    ...bytesOf(selector, 2),
  ]);
}

const moveNumber = (number: number): readonly number[] => [0xb8, number, 0, 0, 0];

function stubs(call: (number: number) => readonly number[]): Uint8Array {
  const page = new Uint8Array(HYPERCALL_PAGE_SIZE).fill(INT3);
  for (let number = 0; number < HYPERCALL_PAGE_SIZE / HYPERCALL_ENTRY_SIZE; number++) {
    // iret does not return, and has %eax on the guest's stack.
    const stub = number === HYPERCALL_IRET ? [0x50, ...call(number)] : [...call(number), RET];
    page.set(stub, number * HYPERCALL_ENTRY_SIZE);
  }
  return page;
}
