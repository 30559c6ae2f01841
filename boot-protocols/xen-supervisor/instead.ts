/**
 * What a kernel that is fully paravirtual does in place of the instructions that only ring 0 may run. In ring 1 Xen hears
 * of them; in ring 0 no one does, and what they change is Xen's.
 */
import type { Instead } from '../../emulator/entry-state.ts';

const XEN_H = 'Xen 4.2 xen/include/public/xen.h';
const PHYSDEV_H = 'Xen 4.2 xen/include/public/physdev.h';

const PORTS: Instead = {
  by: 'physdev_op PHYSDEVOP_set_iopl first',
  sentence:
    'dom0 asks for its I/O privilege level, and then accesses the ports that Xen leaves to it; both PICs, the PIT and 0xcfc to 0xcff are not among them.',
  citation: `${PHYSDEV_H}; xen/arch/x86/domain_build.c`,
};

const CACHE: Instead = {
  by: 'mmuext_op MMUEXT_FLUSH_CACHE',
  sentence: 'Xen flushes the caches of the CPUs that the domain has run on.',
  citation: XEN_H,
};

const DEBUG_REGISTERS = 'Xen 4.2 xen/arch/x86/traps.c, do_set_debugreg';

/** By rule. rdtsc, rdpmc, monitor and mwait change nothing that is Xen's, and need no hypercall. */
export const INSTEAD: Readonly<Record<string, Instead>> = {
  lgdt: {
    by: 'hypercall set_gdt (2)',
    sentence:
      "The CPU's GDT is Xen's: it has Xen's own segments on its last page, and the next interrupt needs them. set_gdt puts the guest's frames in front of them.",
    citation: `${XEN_H}; xen/include/public/arch-x86/xen.h, FIRST_RESERVED_GDT_PAGE`,
  },
  lidt: {
    by: 'hypercall set_trap_table (0)',
    sentence:
      "The CPU's IDT is Xen's: interrupts are Xen's to take. Xen delivers the guest's traps by the table that set_trap_table gives it.",
    citation: XEN_H,
  },
  lldt: {
    by: 'mmuext_op MMUEXT_SET_LDT',
    sentence: 'Xen loads LDTR from what MMUEXT_SET_LDT gives it each time that it runs the domain.',
    citation: XEN_H,
  },
  ltr: {
    by: 'hypercall stack_switch (3)',
    sentence:
      "The CPU's TSS is Xen's: there it finds its own stack. A guest names its kernel stack by stack_switch.",
    citation: `${XEN_H}; xen/arch/x86/x86_32/supervisor_mode_kernel.S`,
  },
  'mov-to-cr': {
    by: 'mmuext_op MMUEXT_NEW_BASEPTR for CR3, fpu_taskswitch (5) for CR0.TS',
    sentence:
      'Xen checks and counts every page table before the CPU may walk it, and keeps CR0 and CR4 as its own code needs them.',
    citation: XEN_H,
  },
  'mov-from-cr': {
    by: 'arch.cr2 in vcpu_info for CR2',
    sentence:
      "What the CPU has in CR0, CR3 and CR4 is Xen's; the address of the guest's own page fault is in vcpu_info, because another fault may come before it is read.",
    citation: 'Xen 4.2 xen/include/public/arch-x86/xen-x86_32.h',
  },
  lmsw: {
    by: 'hypercall fpu_taskswitch (5)',
    sentence: 'Of CR0 a guest changes TS alone, by fpu_taskswitch.',
    citation: XEN_H,
  },
  clts: {
    by: 'hypercall fpu_taskswitch (5)',
    sentence: 'Xen loads the FPU lazily and needs to know of TS: fpu_taskswitch(0) clears it.',
    citation: XEN_H,
  },
  'mov-to-dr': {
    by: 'hypercall set_debugreg (8)',
    sentence: 'Xen checks that a breakpoint is none of its own, and keeps the registers for the domain.',
    citation: DEBUG_REGISTERS,
  },
  'mov-from-dr': {
    by: 'hypercall get_debugreg (9)',
    sentence: "Xen keeps the domain's debug registers.",
    citation: DEBUG_REGISTERS,
  },
  invlpg: {
    by: 'mmuext_op MMUEXT_INVLPG_LOCAL',
    sentence: 'Xen may hold back changes of page tables, and makes them before it flushes.',
    citation: XEN_H,
  },
  invd: CACHE,
  wbinvd: CACHE,
  hlt: {
    by: 'sched_op SCHEDOP_block',
    sentence: 'Xen gives the CPU to others, and itself waits for the event that wakes the domain.',
    citation: 'Xen 4.2 xen/include/public/sched.h',
  },
  cli: {
    by: 'evtchn_upcall_mask = 1',
    sentence:
      "A guest masks events in vcpu_info. IF is Xen's: with it clear Xen gets no interrupt at all, not even its timer's.",
    citation: XEN_H,
  },
  sti: {
    by: 'evtchn_upcall_mask = 0',
    sentence:
      'A guest unmasks events in vcpu_info, and then looks whether one is pending: sti tells Xen nothing of that.',
    citation: XEN_H,
  },
  wrmsr: {
    by: 'no MSR, or platform_op',
    sentence:
      "MSRs are Xen's: microcode goes by platform_op XENPF_microcode_update, MTRRs by XENPF_add_memtype, SYSENTER by callback_op.",
    citation: 'Xen 4.2 xen/include/public/platform.h, callback.h',
  },
  sysexit: {
    by: 'hypercall iret (23)',
    sentence: 'Only Xen returns to the user: it may have an event to deliver first.',
    citation: XEN_H,
  },
  in: PORTS,
  out: PORTS,
  ins: PORTS,
  outs: PORTS,
};
