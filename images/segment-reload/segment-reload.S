/*
 * segment-reload: an old head.S that loads its segment registers because it always has.
 *
 * Linux up to 2.6.23 loads 0x18 without asking; so does everything since 5.7. A paravirtual loader may have started
 * the kernel on flat segments with no GDT behind them, or with another descriptor at that index, or with one whose
 * DPL is the guest's ring. What each load does then: SDM vol. 2, MOV; vol. 3, 5.7.
 *
 * With `n` as the first character of the command line it begins at null_fs: a null selector needs no descriptor, and
 * loads without a fault even where there is no table.
 */
	.file	"segment-reload.S"
	.include "linux.inc"

	.section .head.text, "ax"
	.globl	startup_32
startup_32:
	cld
	first_character_of_command_line
	cmpb	$'n', %al
	je	null_fs
	movl	$BOOT_DS, %eax
reload_ds:
	movl	%eax, %ds               /* RPL 0 and CPL must both be <= DPL */
reload_es:
	movl	%eax, %es
reload_fs:
	movl	%eax, %fs
reload_gs:
	movl	%eax, %gs
reload_ss:
	movl	%eax, %ss               /* the strict one: RPL = DPL = CPL */
null_fs:
	xorl	%eax, %eax
null_fs_load:
	movl	%eax, %fs
stop:
	hlt
	jmp	stop
	function_end startup_32

	.bss
	.skip	4
