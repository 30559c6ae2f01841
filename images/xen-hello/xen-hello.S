/*
 * xen-hello: the smallest 32-bit PV guest: says hello on Xen's console and shuts its domain down.
 *
 * Xen never calls startup_32. Its domain builder reads the ELF notes below, maps the kernel at VIRT_BASE with PAE
 * paging on, fills in the hypercall page, and enters at ENTRY in ring 1 with %esi = start_info
 * (xen/include/public/elfnote.h, arch-x86/xen-x86_32.h; Linux arch/x86/xen/xen-head.S).
 */
	.file	"xen-hello.S"
	.include "linux.inc"
	.include "xen.inc"

	.section .head.text, "ax"
	/* e_entry, for a loader that does not look at the notes. This kernel has nothing to say to a bare machine. */
	.globl	startup_32
startup_32:
	cli
1:	hlt
	jmp	1b
	function_end startup_32

	.globl	startup_xen
startup_xen:
	movl	%esi, xen_start_info
	cld
	movl	$stack_end, %esp

	/* console_io(CONSOLEIO_write, count, buffer) */
	movl	$CONSOLEIO_write, %ebx
	movl	$.Lmessage_end - message, %ecx
	movl	$message, %edx
	call	hypercall_page + HYPERVISOR_console_io * 32

	/* sched_op(SCHEDOP_shutdown, { SHUTDOWN_poweroff }) */
	movl	$SCHEDOP_shutdown, %ebx
	movl	$shutdown_reason, %ecx
	call	hypercall_page + HYPERVISOR_sched_op * 32
	ud2                             /* a shut-down domain does not come back */
	function_end startup_xen

	/* Xen writes the entries: `mov $n,%eax; int $0x82; ret`, 32 bytes each. Until then it is filled with int3. */
	.balign	4096, 0xcc
	.globl	hypercall_page
hypercall_page:
	.fill	4096, 1, 0xcc
	.type	hypercall_page, @object
	.size	hypercall_page, 4096

	xen_string_note XEN_ELFNOTE_GUEST_OS, "startup32"
	xen_string_note XEN_ELFNOTE_GUEST_VERSION, "1"
	xen_string_note XEN_ELFNOTE_XEN_VERSION, "xen-3.0"
	xen_word_note   XEN_ELFNOTE_VIRT_BASE, PAGE_OFFSET
	xen_word_note   XEN_ELFNOTE_PADDR_OFFSET, 0
	xen_word_note   XEN_ELFNOTE_ENTRY, startup_xen
	xen_word_note   XEN_ELFNOTE_HYPERCALL_PAGE, hypercall_page
	xen_string_note XEN_ELFNOTE_FEATURES, "!writable_page_tables|pae_pgdir_above_4gb"
	xen_string_note XEN_ELFNOTE_PAE_MODE, "yes"
	xen_string_note XEN_ELFNOTE_LOADER, "generic"

	.data
	.balign	4
shutdown_reason:
	.long	SHUTDOWN_poweroff
message:
	.ascii	"xen-hello: running in ring 1, and Xen hears it\n"
.Lmessage_end:

	.bss
	.balign	4
xen_start_info:
	.skip	4
	.skip	1024
stack_end:
