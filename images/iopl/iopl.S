/*
 * iopl: every instruction that wants CPL <= IOPL, each as the first trap.
 *
 * CLI and STI, and the port instructions IN, OUT, INS, OUTS in every encoding and size (SDM vol. 1, 19.5.1; vol. 2).
 * With CPL > IOPL the first two are #GP(0); the others look for the port in the I/O permission bitmap of the TSS, and
 * where there is no bitmap they are #GP(0) too. Emulators like to forget these checks, hypervisors like to emulate
 * these instructions, so each one is worth its own look.
 *
 * The first character of the command line, `a` to `z`, chooses the instruction by the table below; without one it is
 * `a`. Labels are in the order of the table.
 */
	.file	"iopl.S"
	.include "linux.inc"

.set PORT, 0x80                     /* the POST code port: no PC minds an access */
.set VALUE, 0x12345678              /* what an OUT writes: its low byte, word, or all */
.set REPEAT, 4

	.section .head.text, "ax"
	.globl	startup_32
startup_32:
	cld
	first_character_of_command_line
	testb	%al, %al
	jnz	1f
	movb	$'a', %al
1:	subb	$'a', %al
	cmpb	$(.Lchoices_end - choices) / 4, %al
	jae	no_such_choice
	movl	choices - PAGE_OFFSET(, %eax, 4), %ebx
	subl	$PAGE_OFFSET, %ebx
	movl	$VALUE, %eax
	movl	$REPEAT, %ecx
	movl	$PORT, %edx
	movl	$buffer - PAGE_OFFSET, %esi
	movl	$buffer - PAGE_OFFSET, %edi
	jmp	*%ebx
no_such_choice:
	ud2
	function_end startup_32

try_cli:
	cli
	jmp	done
try_sti:
	sti
	jmp	done
try_in_byte_imm:
	inb	$PORT, %al
	jmp	done
try_in_dword_imm:
	inl	$PORT, %eax
	jmp	done
try_in_byte_dx:
	inb	%dx, %al
	jmp	done
try_in_dword_dx:
	inl	%dx, %eax
	jmp	done
try_out_byte_imm:
	outb	%al, $PORT
	jmp	done
try_out_dword_imm:
	outl	%eax, $PORT
	jmp	done
try_out_byte_dx:
	outb	%al, %dx
	jmp	done
try_out_dword_dx:
	outl	%eax, %dx
	jmp	done
try_insb:
	insb
	jmp	done
try_insw:
	insw
	jmp	done
try_insl:
	insl
	jmp	done
try_outsb:
	outsb
	jmp	done
try_outsw:
	outsw
	jmp	done
try_outsl:
	outsl
	jmp	done
try_rep_insb:
	rep insb
	jmp	done
try_rep_insw:
	rep insw
	jmp	done
try_rep_insl:
	rep insl
	jmp	done
try_rep_outsb:
	rep outsb
	jmp	done
try_rep_outsw:
	rep outsw
	jmp	done
try_rep_outsl:
	rep outsl
	jmp	done
try_in_word_imm:
	inw	$PORT, %ax
	jmp	done
try_in_word_dx:
	inw	%dx, %ax
	jmp	done
try_out_word_imm:
	outw	%ax, $PORT
	jmp	done
try_out_word_dx:
	outw	%ax, %dx
	jmp	done

done:
	hlt
	jmp	done

	.data
	.balign	4
choices:
	.long	try_cli            /* a */
	.long	try_sti            /* b */
	.long	try_in_byte_imm    /* c */
	.long	try_in_dword_imm   /* d */
	.long	try_in_byte_dx     /* e */
	.long	try_in_dword_dx    /* f */
	.long	try_out_byte_imm   /* g */
	.long	try_out_dword_imm  /* h */
	.long	try_out_byte_dx    /* i */
	.long	try_out_dword_dx   /* j */
	.long	try_insb           /* k */
	.long	try_insw           /* l */
	.long	try_insl           /* m */
	.long	try_outsb          /* n */
	.long	try_outsw          /* o */
	.long	try_outsl          /* p */
	.long	try_rep_insb       /* q */
	.long	try_rep_insw       /* r */
	.long	try_rep_insl       /* s */
	.long	try_rep_outsb      /* t */
	.long	try_rep_outsw      /* u */
	.long	try_rep_outsl      /* v */
	.long	try_in_word_imm    /* w */
	.long	try_in_word_dx     /* x */
	.long	try_out_word_imm   /* y */
	.long	try_out_word_dx    /* z */
.Lchoices_end:

	.bss
	.balign	4
buffer:
	.skip	16
