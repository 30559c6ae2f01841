/*
 * outside-mapping: two touches of memory that nobody promised.
 *
 * In 2007 the question was what a paravirtual loader has to map for a kernel that starts with paging on: its own
 * program headers, boot_params, the command line and the initrd. These two would then not work:
 *
 *  - Linux 2.6.23 and earlier look for a command line of the old protocol at physical 0x90020 (arch/i386/kernel/head.S;
 *    there only when cmd_line_ptr is 0, here always).
 *  - A kernel that takes memory right behind its own end, as Linux did for its first page tables (pg0, up to 2.6.29).
 *    `b` as the first character of the command line begins there.
 */
	.file	"outside-mapping.S"
	.include "linux.inc"

.set OLD_CL_MAGIC_ADDR, 0x90020     /* include/asm-i386/setup.h, 2.6.23 */
.set OLD_CL_MAGIC, 0xa33f

	.section .head.text, "ax"
	.globl	startup_32
startup_32:
	cld
	first_character_of_command_line
	cmpb	$'b', %al
	je	beyond_end
legacy_command_line:
	cmpw	$OLD_CL_MAGIC, OLD_CL_MAGIC_ADDR
beyond_end:
	/* The first byte of the first page that no program header covers. */
	movl	$_end - PAGE_OFFSET + 0xfff, %edi
	andl	$~0xfff, %edi
	movl	$0x007, %eax
beyond_end_write:
	stosl
stop:
	hlt
	jmp	stop
	function_end startup_32

	.bss
	.skip	64
