/*
 * long-mode: what the 32-bit entry of a 64-bit kernel does before its 64-bit code can run.
 *
 * The steps are those of startup_32 in Linux arch/x86/boot/compressed/head_64.S (6.1, without the CPU checks and the
 * copying): GDT, PAE, page tables of four levels, EFER.LME, paging. At the last one the CPU is in long mode (SDM
 * vol. 3, 9.8.5), and what follows is no longer a 32-bit kernel.
 */
	.file	"long-mode.S"
	.include "linux.inc"

.set CR4_PAE, 0x20
.set MSR_EFER, 0xc0000080
.set EFER_LME, 0x100
.set CR0_PG, 0x80000000
.set PAGE_TABLE_FLAGS, 0x3          /* present, writable */
.set LARGE_PAGE_FLAGS, 0x83         /* and PS: a 2 MiB page */
.set CODE64, 0x10
.set FLAT_CODE64, 0x00af9a000000ffff

	.section .head.text, "ax"
	.globl	startup_32
startup_32:
	cld
	cli
	lgdt	gdt_descr - PAGE_OFFSET
	movl	$BOOT_DS, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$stack_end - PAGE_OFFSET, %esp

	movl	%cr4, %eax
	orl	$CR4_PAE, %eax
	movl	%eax, %cr4

	/* The first 16 MiB, 1:1. The tables are in the BSS, which the loader has cleared. */
	movl	$pdpt - PAGE_OFFSET + PAGE_TABLE_FLAGS, pml4 - PAGE_OFFSET
	movl	$pd - PAGE_OFFSET + PAGE_TABLE_FLAGS, pdpt - PAGE_OFFSET
	movl	$pd - PAGE_OFFSET, %edi
	movl	$LARGE_PAGE_FLAGS, %eax
	movl	$8, %ecx
1:	movl	%eax, (%edi)
	addl	$0x200000, %eax
	addl	$8, %edi
	loop	1b
	movl	$pml4 - PAGE_OFFSET, %eax
	movl	%eax, %cr3

	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$EFER_LME, %eax
	wrmsr

	pushl	$CODE64
	pushl	$startup_64 - PAGE_OFFSET
	movl	%cr0, %eax
	orl	$CR0_PG, %eax
enable_paging:
	movl	%eax, %cr0              /* EFER.LMA is set here: compatibility mode until CS is reloaded */
enter_64:
	lret
	function_end startup_32

	.code64
startup_64:
	hlt
	jmp	startup_64
	function_end startup_64
	.code32

	.data
gdt_descr:
	.word	.Lgdt_end - gdt - 1
	.long	gdt - PAGE_OFFSET
	.balign	8
gdt:
	.quad	0, 0
	.quad	FLAT_CODE64             /* CODE64: the L bit */
	.quad	FLAT_DATA               /* BOOT_DS */
.Lgdt_end:

	.bss
	.balign	4096
pml4:	.skip	4096
pdpt:	.skip	4096
pd:	.skip	4096
	.skip	256
stack_end:
