/*
 * ud2-xen: CPUID as a Xen guest has to ask for it.
 *
 * CPUID does not trap, so a PV guest would see the real CPU. Xen's answer is the forced-emulation prefix: `ud2` and
 * the letters "xen" in front of the instruction. The guest takes #UD, Xen recognises the five bytes, emulates the
 * CPUID behind them with its own answers and steps over all seven (xen/include/public/arch-x86/xen-x86_32.h,
 * XEN_CPUID; xen/arch/x86/pv/emul-inv-op.c). Anywhere else the prefix is an invalid opcode and nothing more.
 */
	.file	"ud2-xen.S"
	.include "linux.inc"
	.include "xen.inc"

.macro xen_emulate_prefix
	.byte	0x0f, 0x0b, 0x78, 0x65, 0x6e    /* ud2a; "xen" */
.endm

	.section .head.text, "ax"
	/* For a loader that does not look at the notes: the same instruction, where nobody knows the prefix. */
	.globl	startup_32
startup_32:
	xorl	%eax, %eax
startup_32_cpuid:
	xen_emulate_prefix
	cpuid
1:	hlt
	jmp	1b
	function_end startup_32

	.globl	startup_xen
startup_xen:
	cld
	movl	$stack_end, %esp
	xorl	%eax, %eax              /* leaf 0: the vendor */
startup_xen_cpuid:
	xen_emulate_prefix
	cpuid
	movl	%ebx, vendor
	movl	%edx, vendor + 4
	movl	%ecx, vendor + 8

	/* No hypercall page here: the software interrupt itself. */
	movl	$HYPERVISOR_sched_op, %eax
	movl	$SCHEDOP_shutdown, %ebx
	movl	$shutdown_reason, %ecx
	int	$XEN_TRAP_ENTRY
	ud2
	function_end startup_xen

	xen_string_note XEN_ELFNOTE_GUEST_OS, "startup32"
	xen_string_note XEN_ELFNOTE_XEN_VERSION, "xen-3.0"
	xen_word_note   XEN_ELFNOTE_VIRT_BASE, PAGE_OFFSET
	xen_word_note   XEN_ELFNOTE_PADDR_OFFSET, 0
	xen_word_note   XEN_ELFNOTE_ENTRY, startup_xen
	xen_string_note XEN_ELFNOTE_PAE_MODE, "yes"
	xen_string_note XEN_ELFNOTE_LOADER, "generic"

	.data
	.balign	4
shutdown_reason:
	.long	SHUTDOWN_poweroff

	.bss
	.balign	4
vendor:
	.skip	12
	.skip	1024
stack_end:
