/*
 * shutdown: the reset of last resort.
 *
 * With an IDT that holds nothing, an exception cannot be delivered, nor can the #GP about that, nor the double fault
 * about that one: the CPU shuts down (SDM vol. 3, 6.15, interrupt 8), and a PC resets. Linux does it on purpose when asked to with
 * reboot=t (arch/x86/kernel/reboot.c, BOOT_TRIPLE).
 */
	.file	"shutdown.S"
	.include "linux.inc"

	.section .head.text, "ax"
	.globl	startup_32
startup_32:
	cld
load_idt:
	lidt	no_idt - PAGE_OFFSET
triple_fault:
	int3
	hlt                             /* never reached at ring 0 */
	function_end startup_32

	.data
no_idt:
	.word	0
	.long	0

	.bss
	.skip	4
