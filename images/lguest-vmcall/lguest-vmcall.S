/*
 * lguest-vmcall: a guest of Linux 2.6.30 to 2.6.33, whose lguest took hypercalls by vmcall, as KVM does.
 *
 * The instruction is an invalid one for a CPU that is in no virtual machine. The host took the exception, wrote
 * int $0x1f over the vmcall and let the guest run on (drivers/lguest/x86/core.c, rewrite_hypercall). From 2.6.34 on
 * guests use int $0x1f again, and the host hands the exception to the guest.
 */
	.file	"lguest-vmcall.S"
	.include "linux.inc"

.set LHCALL_LGUEST_INIT, 1
.set SUBARCH_LGUEST, 1
.set LGUEST_SYSCALL_VEC, 0x570      /* syscall_vec, the last field of struct lguest_data: include/linux/lguest.h, 2.6.31 */
.set SYSCALL_VECTOR, 0x80

	.section .head.text, "ax"
	.globl	startup_32
startup_32:
	cld
	cmpl	$SUBARCH_LGUEST, BP_HARDWARE_SUBARCH(%esi)
	jne	not_lguest
lguest_entry:
	movl	$LHCALL_LGUEST_INIT, %eax
	movl	$lguest_data - PAGE_OFFSET, %ebx
lguest_init_hcall:
	vmcall
not_lguest:
	hlt
	jmp	not_lguest
	function_end startup_32

	.data
	.balign	4
lguest_data:
	.skip	LGUEST_SYSCALL_VEC
	.long	SYSCALL_VECTOR

	.bss
	.skip	4
