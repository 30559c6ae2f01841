/*
 * xen-no-entry: a PV guest with notes, and none of them ENTRY: then e_entry counts, as a virtual address
 * (xen/common/libelf/libelf-dominfo.c, elf_xen_addr_calc_check). There is no hypercall page either.
 */
	.file	"xen-no-entry.S"
	.include "linux.inc"
	.include "xen.inc"

	.section .head.text, "ax"
	.globl	startup_32
startup_32:
	movl	$HYPERVISOR_sched_op, %eax
	movl	$SCHEDOP_shutdown, %ebx
	movl	$shutdown_reason, %ecx
	int	$XEN_TRAP_ENTRY
	ud2                             /* a shut-down domain does not come back */
	function_end startup_32

	xen_string_note XEN_ELFNOTE_GUEST_OS, "startup32"
	xen_string_note XEN_ELFNOTE_XEN_VERSION, "xen-3.0"
	xen_word_note   XEN_ELFNOTE_VIRT_BASE, PAGE_OFFSET
	xen_word_note   XEN_ELFNOTE_PADDR_OFFSET, 0
	xen_string_note XEN_ELFNOTE_PAE_MODE, "yes"
	xen_string_note XEN_ELFNOTE_LOADER, "generic"

	.data
	.balign	4
shutdown_reason:
	.long	SHUTDOWN_poweroff
