/*
 * xen-legacy: a PV guest from before the ELF notes: a section __xen_guest with a string of keys and values, and hypercalls
 * by int $0x82, with no hypercall page (Xen 3.0; xen/common/libelf/libelf-dominfo.c, elf_xen_parse_guest_info).
 */
	.file	"xen-legacy.S"
	.include "linux.inc"
	.include "xen.inc"

	.text
	.globl	stext
stext:
	movl	%esi, xen_start_info
	cld
	movl	$stack_end, %esp

	/* console_io(CONSOLEIO_write, count, buffer) */
	movl	$HYPERVISOR_console_io, %eax
	movl	$CONSOLEIO_write, %ebx
	movl	$.Lmessage_end - message, %ecx
	movl	$message, %edx
	int	$XEN_TRAP_ENTRY

	/* sched_op(SCHEDOP_shutdown, { SHUTDOWN_poweroff }) */
	movl	$HYPERVISOR_sched_op, %eax
	movl	$SCHEDOP_shutdown, %ebx
	movl	$shutdown_reason, %ecx
	int	$XEN_TRAP_ENTRY
	ud2                             /* a shut-down domain does not come back */
	function_end stext

	.section __xen_guest
	.ascii	"GUEST_OS=startup32,GUEST_VER=1,XEN_VER=xen-3.0"
	.ascii	",VIRT_BASE=0xC0000000"  /* and so ELF_PADDR_OFFSET */
	.ascii	",VIRT_ENTRY=0xC0100000"
	.ascii	",FEATURES=pae_pgdir_above_4gb"
	.ascii	",PAE=yes[extended-cr3]"
	.asciz	",LOADER=generic"

	.data
	.balign	4
shutdown_reason:
	.long	SHUTDOWN_poweroff
message:
	.ascii	"xen-legacy: no notes, no hypercall page\n"
.Lmessage_end:

	.bss
	.balign	4
xen_start_info:
	.skip	4
	.skip	1024
stack_end:
