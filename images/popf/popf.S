/*
 * popf: three requests that ring 1 does not get, and no exception that says so.
 *
 * POPF loads IF only when CPL <= IOPL, and IOPL only at CPL 0; otherwise it leaves both as they are and goes on
 * (SDM vol. 2, POPF; Robin and Irvine 2000 count it among the instructions that a monitor cannot trap).
 * startup_32 of every Linux from 2.6.23 to 6.1 has the first of them, `pushl $0; popfl`.
 *
 * The first character of the command line chooses where to begin: `s` at set_if, `i` at set_iopl, else at clear_if.
 */
	.file	"popf.S"
	.include "linux.inc"

.set FLAG_FIXED, 0x2                /* bit 1 of EFLAGS is always set */
.set FLAG_IF, 0x200
.set IOPL_3, 0x3000

	.section .head.text, "ax"
	.globl	startup_32
startup_32:
	movl	$stack_end - PAGE_OFFSET, %esp
	first_character_of_command_line
	cmpb	$'s', %al
	je	set_if
	cmpb	$'i', %al
	je	set_iopl
	function_end startup_32

/* Lost where IF is 1 for good: lguest and Xen start every guest that way. */
clear_if:
	pushl	$0
clear_if_popf:
	popfl
	function_end clear_if

/* Lost where IF is 0: a loader of the 32-bit boot protocol that keeps interrupts off. */
set_if:
	pushl	$FLAG_FIXED | FLAG_IF
set_if_popf:
	popfl
	function_end set_if

/* Lost outside ring 0 whatever IOPL is. At ring 0 this also clears IF again. */
set_iopl:
	pushl	$FLAG_FIXED | IOPL_3
set_iopl_popf:
	popfl
	function_end set_iopl

stop:
	hlt
	jmp	stop
	function_end stop

	.bss
	.balign	4
	.skip	256
stack_end:
