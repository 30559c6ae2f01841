/*
 * lguest-hello: the smallest lguest guest: introduces itself and powers off with a message.
 *
 * It does not ask who started it: see images/paravirt for an entry that does. The hypercalls are those of Linux 4.13
 * (arch/x86/include/asm/lguest_hcall.h): int $0x1f, number in %eax, arguments in %ebx, %ecx, %edx, %esi. LHCALL_NOTIFY,
 * which printed in older versions, is gone there, so the message travels with the shutdown.
 */
	.file	"lguest-hello.S"
	.include "linux.inc"

.set LGUEST_TRAP_ENTRY, 0x1f
.set LHCALL_LGUEST_INIT, 1
.set LHCALL_SHUTDOWN, 2
.set LGUEST_SHUTDOWN_POWEROFF, 1
.set LGUEST_SYSCALL_VEC, 0x568      /* syscall_vec, the last field of struct lguest_data: include/linux/lguest.h, 4.13 */
.set SYSCALL_VECTOR, 0x80

	.section .head.text, "ax"
	.globl	startup_32
startup_32:
	cld
lguest_init:
	movl	$LHCALL_LGUEST_INIT, %eax
	movl	$lguest_data - PAGE_OFFSET, %ebx        /* physical, as every address that the host is given */
lguest_init_hcall:
	int	$LGUEST_TRAP_ENTRY
	movl	$LHCALL_SHUTDOWN, %eax
	movl	$message - PAGE_OFFSET, %ebx
	movl	$LGUEST_SHUTDOWN_POWEROFF, %ecx
shutdown_hcall:
	int	$LGUEST_TRAP_ENTRY
	ud2
	function_end startup_32

	.data
	.balign	4
lguest_data:
	.skip	LGUEST_SYSCALL_VEC
	.long	SYSCALL_VECTOR          /* the host refuses any other */
/* The host copies 128 bytes from here. */
message:
	.asciz	"lguest-hello: running in ring 1, and the host hears it"
	.balign	128

	.bss
	.skip	4
