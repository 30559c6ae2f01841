/*
 * pvh-hello: the smallest PVH guest: finds Xen, has its hypercall page filled, and says hello on Xen's console.
 *
 * Xen's domain builder reads the note PHYS32_ENTRY and enters there, in ring 0 of a virtual machine, with paging off and
 * %ebx = hvm_start_info (xen/include/public/elfnote.h, arch-x86/hvm/start_info.h; docs/misc/pvh.pandoc). There is no
 * GDT to load a segment from, and no stack.
 */
	.file	"pvh-hello.S"
	.include "linux.inc"
	.include "xen.inc"

.set HVM_START_MAGIC, 0x336ec578    /* "xEn3" with the 0x80 bit of the "E" set */
.set HVM_START_MAGIC_FIELD, 0x00
.set HVM_START_VERSION, 0x04

.set XEN_CPUID_BASE, 0x40000000
.set XEN_SIGNATURE_EBX, 0x566e6558  /* "XenV" */

	.section .head.text, "ax"
	/* e_entry, for a loader that does not look at the note. */
	.globl	startup_32
startup_32:
	cli
1:	hlt
	jmp	1b
	function_end startup_32

	.globl	pvh_start
pvh_start:
	cld
	cmpl	$HVM_START_MAGIC, HVM_START_MAGIC_FIELD(%ebx)
	jne	not_pvh
	cmpl	$1, HVM_START_VERSION(%ebx)
	jb	not_pvh
	movl	$stack_end - PAGE_OFFSET, %esp
	movl	%ebx, %ebp

	/* Leaf base + 2 names the MSR that fills the hypercall page. */
	movl	$XEN_CPUID_BASE, %eax
	cpuid
	cmpl	$XEN_SIGNATURE_EBX, %ebx
	jne	not_pvh
	movl	$XEN_CPUID_BASE + 2, %eax
	cpuid
	movl	%ebx, %ecx
	movl	$hypercall_page - PAGE_OFFSET, %eax
	xorl	%edx, %edx
	wrmsr

	/* console_io(CONSOLEIO_write, count, buffer): the buffer by its linear address. */
	movl	$CONSOLEIO_write, %ebx
	movl	$.Lmessage_end - message, %ecx
	movl	$message - PAGE_OFFSET, %edx
	movl	$hypercall_page - PAGE_OFFSET + HYPERVISOR_console_io * 32, %eax
	call	*%eax

	/* sched_op(SCHEDOP_shutdown, { SHUTDOWN_poweroff }) */
	movl	$SCHEDOP_shutdown, %ebx
	movl	$shutdown_reason - PAGE_OFFSET, %ecx
	movl	$hypercall_page - PAGE_OFFSET + HYPERVISOR_sched_op * 32, %eax
	call	*%eax
	ud2                             /* a shut-down domain does not come back */
	function_end pvh_start

/* Started otherwise than the note asks for: no one is there who could be told. */
not_pvh:
	cli
1:	hlt
	jmp	1b
	function_end not_pvh

	.balign	4096, 0xcc
	.globl	hypercall_page
hypercall_page:
	.fill	4096, 1, 0xcc
	.type	hypercall_page, @object
	.size	hypercall_page, 4096

	xen_word_note   XEN_ELFNOTE_PHYS32_ENTRY, (pvh_start - PAGE_OFFSET)

	.data
	.balign	4
shutdown_reason:
	.long	SHUTDOWN_poweroff
message:
	.ascii	"pvh-hello: running in ring 0, and Xen hears it\n"
.Lmessage_end:

	.bss
	.balign	4
	.skip	1024
stack_end:
