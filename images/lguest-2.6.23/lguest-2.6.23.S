/*
 * lguest-2.6.23: a guest of the first lguest.
 *
 * In Linux 2.6.23 the boot protocol had no word for who starts the kernel. The launcher looked for "GenuineLguest" in the
 * image and entered behind it, at the virtual address, with guest memory mapped at PAGE_OFFSET and nowhere else
 * (Documentation/lguest/lguest.c, entry_point and setup_pagetables; drivers/lguest/lguest_asm.S). Hypercalls took their
 * arguments in %edx, %ebx, %ecx (include/linux/lguest.h, hcall).
 *
 * With "low" on the command line the kernel looks at boot_params where %esi says it is: there is nothing.
 */
	.file	"lguest-2.6.23.S"
	.include "linux.inc"

.set LGUEST_TRAP_ENTRY, 0x1f
.set LHCALL_LGUEST_INIT, 1
.set SUBARCH_LGUEST, 1              /* the launcher wrote it to 0x23c before the boot protocol gave that field a name */
.set LGUEST_DATA_SIZE, 0x468        /* struct lguest_data of 2.6.23 with room to spare */

	/* Where everyone else enters: a kernel that owns its CPU. */
	.section .head.text, "ax"
	.globl	startup_32
startup_32:
	cld
	cli
1:	hlt
	jmp	1b
	function_end startup_32

	.text
	.ascii	"GenuineLguest"
	.globl	lguest_start
lguest_start:
	movl	$stack_end, %esp                        /* a virtual address, as all from here on */
	call	lguest_init
	ud2
	function_end lguest_start

lguest_init:
	movl	PAGE_OFFSET + BP_CMD_LINE_PTR(%esi), %eax
	cmpb	$'l', PAGE_OFFSET(%eax)
	jne	say_hello
look_low:
	cmpl	$SUBARCH_LGUEST, BP_HARDWARE_SUBARCH(%esi)
say_hello:
	cmpl	$SUBARCH_LGUEST, PAGE_OFFSET + BP_HARDWARE_SUBARCH(%esi)
	jne	bad_subarch
	movl	$LHCALL_LGUEST_INIT, %eax
	movl	$lguest_data - PAGE_OFFSET, %edx        /* physical, as every address that the host is given */
lguest_init_hcall:
	int	$LGUEST_TRAP_ENTRY
	ret
bad_subarch:
	ud2
	function_end lguest_init

	.data
	.balign	4
lguest_data:
	.skip	LGUEST_DATA_SIZE

	.bss
	.balign	4
	.skip	64
stack_end:
