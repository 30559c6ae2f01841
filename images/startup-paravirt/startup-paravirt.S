/*
 * startup-paravirt: a kernel that finds out by itself what started it.
 *
 * What Linux 2.6.20 and 2.6.21 did with CONFIG_PARAVIRT (commit c9ccf30d77f0, arch/i386/kernel/head.S), in our own words:
 * startup_32 looks at the two low bits of %cs, and outside ring 0 goes through a table of probe functions. Each is
 * called with %eax, %ecx and %edx as they are, and takes over or returns; who has called them all without success
 * stops at a ud2 (commit 992af68147a). Linux takes its stack by its link address, which needs page tables with
 * PAGE_OFFSET in them; here it is taken by its physical one, so that the probe can be seen without paging as well.
 *
 * images/startup-paravirt-cr0 is the same with the question that Zach Amsden's proposal adds.
 */
	.file	"startup-paravirt.S"
	.include "linux.inc"

.ifndef PROBE_CR0
.set PROBE_CR0, 0
.endif

.set RPL_MASK, 3                    /* SDM vol. 3, 3.4.2; in %cs it is the CPL */
.set CPUID_FEATURES, 1
.set ECX_HYPERVISOR, 0x80000000     /* never set by a CPU itself */
.set LGUEST_TRAP_ENTRY, 0x1f        /* the one user that this entry ever had, outside the tree, was lguest */

	.section .head.text, "ax"
	.globl	startup_32
startup_32:
	movl	%cs, %eax
	testl	$RPL_MASK, %eax
	jnz	startup_paravirt
.if PROBE_CR0
	/* The ring has to be asked first: outside ring 0 this instruction is #GP(0). PG is the sign of CR0. */
	movl	%cr0, %eax
	testl	%eax, %eax
	js	startup_paravirt
.endif
	function_end startup_32

/* A PC: boot_params in %esi, ring 0, paging off. */
native:
	lgdt	boot_gdt_descr - PAGE_OFFSET
	movl	$BOOT_DS, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	cld
	movl	$boot_params - PAGE_OFFSET, %edi
	movl	$BP_SIZE / 4, %ecx
copy_boot_params:
	rep movsl
native_done:
	hlt
	jmp	native_done
	function_end native

/* A hypervisor, and which one it is only its own probe function can tell. */
startup_paravirt:
	cld
	movl	$stack_end - PAGE_OFFSET, %esp
	pushl	%edx
	pushl	%ecx
	pushl	%eax
	pushl	$__start_paravirtprobe - PAGE_OFFSET
next_probe:
	movl	(%esp), %ebx
	movl	(%ebx), %ebx
	movl	4(%esp), %eax
	movl	8(%esp), %ecx
	movl	12(%esp), %edx
	subl	$PAGE_OFFSET, %ebx
	call	*%ebx
	addl	$4, (%esp)
	cmpl	$__stop_paravirtprobe - PAGE_OFFSET, (%esp)
	jb	next_probe
nobody:
	ud2
	function_end startup_paravirt

/* A hypervisor that is not there. */
	.text
probe_absent:
	ret
	function_end probe_absent

/* One that says so in cpuid. What it is handed in %eax, %ecx and %edx is kept. */
probe_hypervisor_bit:
	pushl	%eax
	pushl	%ecx
	pushl	%edx
	movl	$CPUID_FEATURES, %eax
	cpuid
	testl	$ECX_HYPERVISOR, %ecx
	popl	%edx
	popl	%ecx
	popl	%eax
	jnz	take_over
	ret
	function_end probe_hypervisor_bit

take_over:
	int	$LGUEST_TRAP_ENTRY
1:	jmp	1b
	function_end take_over

	.balign	8, 0
boot_gdt_descr:
	.word	.Lboot_gdt_end - boot_gdt - 1
	.long	boot_gdt - PAGE_OFFSET
	.balign	8, 0
boot_gdt:
	.quad	0, 0
	.quad	FLAT_CODE
	.quad	FLAT_DATA
.Lboot_gdt_end:

	.data
/* In link order, as the section .paravirtprobe had them. */
__start_paravirtprobe:
	.long	probe_absent
	.long	probe_hypervisor_bit
__stop_paravirtprobe:

	.bss
boot_params:
	.skip	BP_SIZE
stack:
	.skip	0x1000
stack_end:
