/*
 * null-segment: a function compiled with a stack protector, called before %gs is set up.
 *
 * GCC's i386 stack protector reads the canary at %gs:0x14. Linux loads GS late in startup_32 (selector 0xe0, 2.6.27
 * and later), and lguest starts a guest with FS = GS = 0 (drivers/lguest/x86/core.c, lguest_arch_setup_regs): loading
 * the null selector is allowed, using it is #GP(0) (SDM vol. 3, 3.4.2).
 * On a PC the same instruction works, because the boot code left a flat segment in GS, and reads physical 0x14.
 */
	.file	"null-segment.S"
	.include "linux.inc"

.set CANARY, 0x14

	.section .head.text, "ax"
	.globl	startup_32
startup_32:
	cld
	movl	$stack_end - PAGE_OFFSET, %esp
	call	protected_function
stop:
	hlt
	jmp	stop
	function_end startup_32

protected_function:
	pushl	%ebp
	movl	%esp, %ebp
	subl	$4, %esp
canary_read:
	movl	%gs:CANARY, %eax
	movl	%eax, -4(%ebp)
	/* a body would stand here */
	movl	-4(%ebp), %eax
	xorl	%gs:CANARY, %eax
	jnz	1f
	leave
	ret
1:	ud2
	function_end protected_function

	.bss
	.balign	4
	.skip	256
stack_end:
