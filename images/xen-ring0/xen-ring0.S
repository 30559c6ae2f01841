/*
 * xen-ring0: a PV guest that can run in ring 0, as dom0 of a Xen built with supervisor_mode_kernel=y, and does there what it
 * should have asked Xen for. Nothing faults. Each of these has a hypercall, or a field that it shares with Xen
 * (xen/include/public/xen.h).
 */
	.file	"xen-ring0.S"
	.include "linux.inc"
	.include "xen.inc"

	.section .head.text, "ax"
	.globl	startup_32
startup_32:
	movl	%esi, xen_start_info
	cld
	movl	$stack_end, %esp
	cli                             /* evtchn_upcall_mask = 1 */
	movl	%cr0, %eax
	clts                            /* fpu_taskswitch(0) */
	movl	$3, %ecx
1:	sti                             /* evtchn_upcall_mask = 0; three times */
	loop	1b

	/* console_io(CONSOLEIO_write, count, buffer): the way it should be */
	movl	$CONSOLEIO_write, %ebx
	movl	$.Lmessage_end - message, %ecx
	movl	$message, %edx
	call	hypercall_page + HYPERVISOR_console_io * 32

	/* sched_op(SCHEDOP_shutdown, { SHUTDOWN_poweroff }) */
	movl	$SCHEDOP_shutdown, %ebx
	movl	$shutdown_reason, %ecx
	call	hypercall_page + HYPERVISOR_sched_op * 32
	ud2                             /* a shut-down domain does not come back */
	function_end startup_32

	.balign	4096, 0xcc
	.globl	hypercall_page
hypercall_page:
	.fill	4096, 1, 0xcc
	.type	hypercall_page, @object
	.size	hypercall_page, 4096

	xen_string_note XEN_ELFNOTE_GUEST_OS, "startup32"
	xen_string_note XEN_ELFNOTE_XEN_VERSION, "xen-3.0"
	xen_word_note   XEN_ELFNOTE_VIRT_BASE, PAGE_OFFSET
	xen_word_note   XEN_ELFNOTE_PADDR_OFFSET, 0
	xen_word_note   XEN_ELFNOTE_ENTRY, startup_32
	xen_word_note   XEN_ELFNOTE_HYPERCALL_PAGE, hypercall_page
	xen_string_note XEN_ELFNOTE_FEATURES, "supervisor_mode_kernel|pae_pgdir_above_4gb"
	xen_string_note XEN_ELFNOTE_PAE_MODE, "yes"
	xen_string_note XEN_ELFNOTE_LOADER, "generic"

	.data
	.balign	4
shutdown_reason:
	.long	SHUTDOWN_poweroff
message:
	.ascii	"xen-ring0: nothing has faulted\n"
.Lmessage_end:

	.bss
	.balign	4
xen_start_info:
	.skip	4
	.skip	1024
stack_end:
