/*
 * native: a kernel that believes it owns the machine.
 *
 * The steps are those of Linux 2.6.23 on a PC: arch/i386/boot/compressed/head.S for `cld; cli`, arch/i386/kernel/head.S
 * for the rest: GDT, segments, BSS, boot_params, command line, page tables, paging, the jump to PAGE_OFFSET.
 * Nothing asks where it runs, so outside ring 0 the second instruction is already the end.
 *
 * Ways to read it: every line marked P needs CPL 0; I needs CPL <= IOPL; S does something else outside ring 0 and
 * does not say so; L loads a segment register.
 */
	.file	"native.S"
	.include "linux.inc"

.set CR0_PG, 0x80000000             /* SDM vol. 3, 2.5 */
.set PTE_FLAGS, 0x007               /* present, writable, user: what head.S used up to 2.6.27 */
.set COMMAND_LINE_SIZE, 2048        /* include/asm-i386/setup.h, 2.6.22 */
.set UART, 0x3f8                    /* the first serial port of a PC (16550) */
.set UART_LINE_STATUS, UART + 5
.set UART_TRANSMITTER_EMPTY, 0x20

	.section .head.text, "ax"
	.globl	startup_32
startup_32:
	cld
	cli                                                     /* I */
	/* Paging is off, so the pseudo-descriptor and the table in it are both named by physical address. */
	lgdt	boot_gdt_descr - PAGE_OFFSET                    /* P */
	movl	$BOOT_DS, %eax
	movl	%eax, %ds                                       /* L */
	movl	%eax, %es                                       /* L */
	movl	%eax, %fs                                       /* L */
	movl	%eax, %gs                                       /* L; SS stays as the loader left it, as in 2.6.23 */

	/* The loader need not have cleared the BSS of a kernel that was unpacked in place. */
	xorl	%eax, %eax
	movl	$__bss_start - PAGE_OFFSET, %edi
	movl	$__bss_stop - PAGE_OFFSET, %ecx
	subl	%edi, %ecx
	shrl	$2, %ecx
	rep stosl

	/* boot_params lies in memory that the kernel is about to call free: keep a copy, then one of the command line. */
	movl	$boot_params - PAGE_OFFSET, %edi
	movl	$BP_SIZE / 4, %ecx
	rep movsl
	movl	boot_params - PAGE_OFFSET + BP_CMD_LINE_PTR, %esi
	testl	%esi, %esi
	jz	1f
	movl	$boot_command_line - PAGE_OFFSET, %edi
	movl	$COMMAND_LINE_SIZE / 4, %ecx
	rep movsl
1:
	/*
	 * One page table for the first 4 MiB, used twice: at 0, because the next instruction after `mov %eax,%cr0` is
	 * still fetched from a low address, and at PAGE_OFFSET, because that is where the kernel is linked.
	 */
	movl	$pg0 - PAGE_OFFSET, %edi
	movl	$PTE_FLAGS, %eax
	movl	$1024, %ecx
2:	stosl
	addl	$0x1000, %eax
	loop	2b
	movl	$pg0 - PAGE_OFFSET + PTE_FLAGS, %eax
	movl	%eax, swapper_pg_dir - PAGE_OFFSET
	movl	%eax, swapper_pg_dir - PAGE_OFFSET + (PAGE_OFFSET >> 22) * 4

	movl	$swapper_pg_dir - PAGE_OFFSET, %eax
	movl	%eax, %cr3                                      /* P */
	movl	%cr0, %eax                                      /* P */
	orl	$CR0_PG, %eax
enable_paging:
	movl	%eax, %cr0                                      /* P */
	ljmp	$BOOT_CS, $high                                 /* L; from here on addresses are as linked */
	function_end startup_32

	/* In the text, next to its only user. The address is the one that the report in the README shows. */
	.org	0x120
boot_gdt_descr:
	.word	.Lboot_gdt_end - boot_gdt - 1
	.long	boot_gdt - PAGE_OFFSET
	.balign	8, 0
boot_gdt:
	.quad	0, 0                    /* null; unused */
	.quad	FLAT_CODE               /* BOOT_CS */
	.quad	FLAT_DATA               /* BOOT_DS */
.Lboot_gdt_end:
	.type	boot_gdt, @object
	.size	boot_gdt, .Lboot_gdt_end - boot_gdt

	.text
high:
	lss	stack_start, %esp                               /* L */
	pushl	$0
	popfl                                                   /* S: a known EFLAGS, IF and IOPL included */
	movl	$message, %esi
1:	movw	$UART_LINE_STATUS, %dx
	inb	%dx, %al                                        /* I */
	testb	$UART_TRANSMITTER_EMPTY, %al
	jz	1b
	lodsb
	testb	%al, %al
	jz	stop
	movw	$UART, %dx
	outb	%al, %dx                                        /* I */
	jmp	1b
stop:
	hlt                                                     /* P; with IF clear nothing wakes it up again */
	jmp	stop
	function_end high

	.data
stack_start:
	.long	stack_end
	.word	BOOT_DS
message:
	.asciz	"native: paging is on, running above PAGE_OFFSET\n"

	.bss
	.balign	4096
swapper_pg_dir:
	.skip	4096
pg0:
	.skip	4096
boot_params:
	.skip	BP_SIZE
boot_command_line:
	.skip	COMMAND_LINE_SIZE
	.skip	1024
stack_end:
