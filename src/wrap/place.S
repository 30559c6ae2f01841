/*
 * The 32-bit entry: gets out of the way, unpacks the kernel, places it, jumps to it. It keeps the contract that boot
 * protocol 2.07 makes with a paravirtual loader: with KEEP_SEGMENTS set there is no privileged or sensitive instruction in
 * it and no segment load, in any ring, with paging off or on 1:1; with the flag clear it does cli and loads the segments,
 * as Linux 2.6.24 to 5.6 does (arch/x86/boot/compressed/head_32.S). It touches the init_size bytes at the load address and
 * at the runtime start, and four bytes of boot_params.
 *
 * Memory, from the runtime start R of the kernel:
 *
 *     R .. R + workspace - BSS_SIZE      the kernel: every PT_LOAD
 *     .. R + workspace                   the stack, window and tables of inflate
 *     R + workspace ..                   a copy of this code with the payload behind it, then the relocation list
 *
 * %ebp: the address of the copy. Everything of ours is addressed from there.
 */

/*
 * A multiple of 16. The stack comes first, then what inflate.S has, and at the end more than a page that is not used: an
 * emulator that translates code takes its time over writes to a page that has some.
 */
.set BSS_SIZE, 0xc000
.set BSS, -BSS_SIZE                 /* from %ebp */
.set STACK_SIZE, 0x1000
.set COM1, 0x3f8
.set COM1_LINE_STATUS, 0x3fd
.set TRANSMITTER_EMPTY, 0x20
.set MESSAGE_SIZE, 128

/* Segment table: one of these for each PT_LOAD. */
.set SEG_OFFSET, 0                  /* in the unpacked payload */
.set SEG_FILE_SIZE, 4
.set SEG_ADDRESS, 8                 /* physical, as linked */
.set SEG_MEMORY_SIZE, 12
.set SEG_SIZE, 16

	.section .protected, "ax"
	.code32
startup_32:
	cld
	testb	$KEEP_SEGMENTS, BP_LOADFLAGS(%esi)
	jnz	1f
	cli
	movl	$BOOT_DS, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%eax, %ss
1:
	/* No one promises a stack. boot_params has four bytes to spare: enough for the return address of one call. */
	leal	BP_SCRATCH + 4(%esi), %esp
	call	1f
1:	popl	%eax
	subl	$1b - startup_32, %eax  /* eax: where we were loaded */
	leal	saved_end - startup_32(%eax), %esp
	pushl	%esi                    /* what the kernel is to get back; it moves with us */
	pushl	%edi
	pushl	%ebp

	/* boot.rst, "kernel_alignment" and "pref_address": where the kernel goes. */
	movl	link_start - startup_32(%eax), %edx
	cmpl	$0, relocatable - startup_32(%eax)
	je	1f
	movl	alignment - startup_32(%eax), %ecx
	leal	-1(%eax, %ecx), %ebx
	negl	%ecx
	andl	%ecx, %ebx
	cmpl	%edx, %ebx
	jb	1f
	movl	%ebx, %edx
1:
	movl	workspace - startup_32(%eax), %ebx
	addl	%edx, %ebx              /* ebx: where we go */
	subl	link_start - startup_32(%eax), %edx
	movl	%edx, displacement - startup_32(%eax)

	/* Move, the right way round for ranges that overlap. */
	movl	image_size - startup_32(%eax), %ecx
	cmpl	%eax, %ebx
	jbe	1f
	leal	-4(%eax, %ecx), %esi
	leal	-4(%ebx, %ecx), %edi
	shrl	$2, %ecx
	std
	rep movsl
	cld
	jmp	2f
1:	movl	%eax, %esi
	movl	%ebx, %edi
	shrl	$2, %ecx
	rep movsl
2:	movl	%ebx, %ebp
	subl	%eax, %ebx
	addl	%ebx, %esp
	leal	moved - startup_32(%ebp), %eax
	jmp	*%eax

moved:
	popl	%ecx
	popl	%edi
	popl	%esi
	leal	BSS + STACK_SIZE(%ebp), %esp
	pushl	%esi
	pushl	%edi
	pushl	%ecx
	movl	kind - startup_32(%ebp), %eax
	cmpl	$KIND_GZIP, %eax
	je	1f
	cmpl	$KIND_ELF, %eax
	je	2f
	movl	$cannot_decode_message - startup_32, %eax
	jmp	fail
1:	call	gunzip
	jmp	3f
2:	call	place_segments
3:	call	clear_bss
	call	relocate

	movl	entry - startup_32(%ebp), %eax
	addl	displacement - startup_32(%ebp), %eax
	popl	%ebp
	popl	%edi
	popl	%esi
	xorl	%ebx, %ebx
	jmp	*%eax

/* The payload is the ELF file itself. */
place_segments:
	leal	segments - startup_32(%ebp), %ebx
	movl	segment_count - startup_32(%ebp), %edx
1:	movl	payload - startup_32(%ebp), %esi
	addl	%ebp, %esi
	addl	SEG_OFFSET(%ebx), %esi
	movl	SEG_ADDRESS(%ebx), %edi
	addl	displacement - startup_32(%ebp), %edi
	movl	SEG_FILE_SIZE(%ebx), %ecx
	call	copy
	addl	$SEG_SIZE, %ebx
	decl	%edx
	jnz	1b
	ret

/* ecx bytes from esi to edi. Spoils eax. */
copy:
	movl	%ecx, %eax
	shrl	$2, %ecx
	rep movsl
	movl	%eax, %ecx
	andl	$3, %ecx
	rep movsb
	ret

/* What a segment has in memory and not in the file is zero. */
clear_bss:
	leal	segments - startup_32(%ebp), %ebx
	movl	segment_count - startup_32(%ebp), %edx
1:	movl	SEG_ADDRESS(%ebx), %edi
	addl	displacement - startup_32(%ebp), %edi
	addl	SEG_FILE_SIZE(%ebx), %edi
	movl	SEG_MEMORY_SIZE(%ebx), %esi
	subl	SEG_FILE_SIZE(%ebx), %esi
	xorl	%eax, %eax
	movl	%esi, %ecx
	shrl	$2, %ecx
	rep stosl
	movl	%esi, %ecx
	andl	$3, %ecx
	rep stosb
	addl	$SEG_SIZE, %ebx
	decl	%edx
	jnz	1b
	ret

/* The list holds virtual link addresses of 32-bit words. It was placed behind us, as one more segment. */
relocate:
	movl	displacement - startup_32(%ebp), %edx
	testl	%edx, %edx
	jz	2f
	movl	relocation_count - startup_32(%ebp), %ecx
	jecxz	2f
	movl	image_size - startup_32(%ebp), %esi
	leal	4(%ebp, %esi), %esi     /* after the zero word that ends the list, which is read backwards elsewhere */
	movl	%edx, %ebx
	subl	virtual_offset - startup_32(%ebp), %ebx
1:	lodsl
	addl	%edx, (%ebx, %eax)
	loop	1b
2:	ret

/*
 * The end. eax: a message, as an offset from startup_32. Where ports can be used, in ring 0, it goes to COM1; everywhere its
 * address is left in eax, and the CPU is halted: outside ring 0 that is a fault at halt.
 */
fail:
	leal	(%ebp, %eax), %edi
	movl	%cs, %eax
	testb	$3, %al
	jnz	4f
	movl	%edi, %esi
1:	lodsb
	testb	%al, %al
	jz	4f
	movb	%al, %ah
	movl	$0x10000, %ecx
	movl	$COM1_LINE_STATUS, %edx
2:	inb	%dx, %al
	testb	$TRANSMITTER_EMPTY, %al
	loopz	2b
	movb	%ah, %al
	movl	$COM1, %edx
	outb	%al, %dx
	jmp	1b
4:	movl	%edi, %eax
halt:
	hlt
	jmp	halt

cannot_decode_message:
	.skip	MESSAGE_SIZE, 0         /* wrap.ts writes it: it names the codec */
