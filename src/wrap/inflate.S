/*
 * gunzip: RFC 1951 and 1952. The output goes through a window of 32 KiB; whatever of it belongs to a segment is copied to its
 * place when the window is full, so that the ELF file never stands in memory as a whole.
 *
 * While it runs: esi input, edi place in the window, ebx bits not used yet (the next one is bit 0), edx how many.
 */

/*
 * A code: how many symbols have each length; the symbols in canonical order; and a table from the next TABLE_BITS bits to
 * symbol << 4 | length, or 0 where the code is longer.
 */
.set TABLE_BITS, 10
.set CODE_COUNTS, 0
.set CODE_SYMBOLS, 32
.set CODE_TABLE, CODE_SYMBOLS + 288 * 2
.set CODE_SIZE, CODE_TABLE + (2 << TABLE_BITS)

.set WINDOW_SIZE, 0x8000
.set WINDOW, BSS + STACK_SIZE
.set WINDOW_END, WINDOW + WINDOW_SIZE
.set LITERALS, WINDOW_END           /* the code of literals and lengths */
.set DISTANCES, LITERALS + CODE_SIZE
.set LENGTHS, DISTANCES + CODE_SIZE /* code lengths as a block gives them: bytes */
.set LENGTHS_SIZE, 320
.set NEXT, LENGTHS + LENGTHS_SIZE   /* next code of each length, while a code is built */
.set PLACE, NEXT + 64               /* place of its next symbol */
.set CRC_TABLE, PLACE + 64
.set INPUT_END, CRC_TABLE + 1024    /* variables */
.set LAST_BLOCK, INPUT_END + 4
.set LITERAL_COUNT, INPUT_END + 8
.set LENGTH_COUNT, INPUT_END + 12   /* literals and distances */
.set OUTPUT, INPUT_END + 16         /* bytes that have left the window */
.set CRC, INPUT_END + 20

.set LONGEST_CODE, 15
.set MOST_LITERALS, 286
.set MOST_DISTANCES, 30
.set END_OF_BLOCK, 256
.set CRC_POLYNOMIAL, 0xedb88320

gunzip:
	call	build_crc_table
	movl	deflate - startup_32(%ebp), %esi
	addl	%ebp, %esi
	movl	payload_end - startup_32(%ebp), %eax
	addl	%ebp, %eax
	movl	%eax, INPUT_END(%ebp)
	leal	WINDOW(%ebp), %edi
	xorl	%ebx, %ebx
	xorl	%edx, %edx
	movl	%edx, OUTPUT(%ebp)
	movl	$-1, CRC(%ebp)
1:	call	refill
	movl	$3, %ecx
	call	take
	movl	%eax, LAST_BLOCK(%ebp)
	shrl	$1, %eax
	jz	stored
	cmpl	$2, %eax
	jb	2f
	ja	corrupt
	call	read_codes
	jmp	3f
2:	call	fixed_codes
3:	call	inflate_block
4:	testb	$1, LAST_BLOCK(%ebp)
	jz	1b
	call	flush

	/* The trailer: the CRC and the size, at the next whole byte. */
	call	to_byte
	leal	8(%esi), %eax
	cmpl	INPUT_END(%ebp), %eax
	ja	too_short
	movl	CRC(%ebp), %eax
	notl	%eax
	cmpl	(%esi), %eax
	jne	bad_crc
	movl	OUTPUT(%ebp), %eax
	cmpl	4(%esi), %eax
	jne	bad_crc
	ret

/* Throws away the bits to the next whole byte, and gives back the bytes that were read ahead. */
to_byte:
	shrl	$3, %edx
	subl	%edx, %esi
	xorl	%ebx, %ebx
	xorl	%edx, %edx
	ret

stored:
	call	to_byte
	leal	4(%esi), %eax
	cmpl	INPUT_END(%ebp), %eax
	ja	too_short
	movzwl	(%esi), %ecx
	movzwl	2(%esi), %eax
	xorl	$0xffff, %eax
	cmpl	%eax, %ecx
	jne	corrupt
	addl	$4, %esi
	leal	(%esi, %ecx), %eax
	cmpl	INPUT_END(%ebp), %eax
	ja	too_short
1:	testl	%ecx, %ecx
	jz	4b
	leal	WINDOW_END(%ebp), %eax
	subl	%edi, %eax              /* room in the window */
	cmpl	%eax, %ecx
	jae	2f
	movl	%ecx, %eax
2:	subl	%eax, %ecx
	pushl	%ecx
	movl	%eax, %ecx
	rep movsb
	popl	%ecx
	call	flush_if_full
	jmp	1b

/* At least 25 bits in ebx. Past the end they are zeros, and not for long. Spoils eax and ecx. */
refill:
	cmpl	$25, %edx
	jae	3f
	movl	INPUT_END(%ebp), %eax
	cmpl	%eax, %esi
	jae	1f
	movzbl	(%esi), %eax
	movl	%edx, %ecx
	shll	%cl, %eax
	orl	%eax, %ebx
	jmp	2f
1:	addl	$8, %eax
	cmpl	%eax, %esi
	ja	too_short
2:	incl	%esi
	addl	$8, %edx
	jmp	refill
3:	ret

/* eax: the next ecx bits (0 to 25). */
take:
	movl	$1, %eax
	shll	%cl, %eax
	decl	%eax
	andl	%ebx, %eax
	shrl	%cl, %ebx
	subl	%ecx, %edx
	ret

/* eax: a code. Returns the next symbol. Spoils ecx. */
decode:
	movl	%ebx, %ecx
	andl	$(1 << TABLE_BITS) - 1, %ecx
	movzwl	CODE_TABLE(%eax, %ecx, 2), %ecx
	jecxz	1f
	movl	%ecx, %eax
	shrl	$4, %eax
	andl	$15, %ecx
	shrl	%cl, %ebx
	subl	%ecx, %edx
	ret
1:	/* Bit by bit: edi the bits so far, esi the first code of this length, ebp the symbols that are shorter. */
	pushl	%ebp
	pushl	%edi
	pushl	%esi
	pushl	%edx
	pushl	%ebx
	xorl	%ebp, %ebp
	xorl	%edi, %edi
	xorl	%esi, %esi
2:	incl	%ecx
	cmpl	$LONGEST_CODE, %ecx
	ja	4f
	shrl	$1, %ebx
	adcl	%edi, %edi
	addl	%esi, %esi
	movzwl	CODE_COUNTS(%eax, %ecx, 2), %edx
	subl	%esi, %edi
	cmpl	%edx, %edi
	jb	3f
	addl	%esi, %edi
	addl	%edx, %esi
	addl	%edx, %ebp
	jmp	2b
3:	addl	%ebp, %edi
	movzwl	CODE_SYMBOLS(%eax, %edi, 2), %eax
	popl	%ebx
	popl	%edx
	popl	%esi
	popl	%edi
	popl	%ebp
	shrl	%cl, %ebx
	subl	%ecx, %edx
	ret
4:	addl	$16, %esp
	popl	%ebp
	jmp	corrupt

/* Literals, and copies of what is in the window, up to the end of the block. */
inflate_block:
1:	call	refill
	leal	LITERALS(%ebp), %eax
	call	decode
	cmpl	$END_OF_BLOCK, %eax
	ja	2f
	je	9f
	stosb
	call	flush_if_full
	jmp	1b
2:	subl	$END_OF_BLOCK + 1, %eax
	cmpl	$29, %eax
	jae	corrupt
	movzbl	length_bits - startup_32(%ebp, %eax), %ecx
	movzwl	length_bases - startup_32(%ebp, %eax, 2), %eax
	pushl	%eax
	call	take
	addl	%eax, (%esp)            /* on the stack: the length */
	call	refill
	leal	DISTANCES(%ebp), %eax
	call	decode
	cmpl	$MOST_DISTANCES, %eax
	jae	corrupt
	pushl	%eax
	call	refill
	popl	%eax
	movzbl	distance_bits - startup_32(%ebp, %eax), %ecx
	movzwl	distance_bases - startup_32(%ebp, %eax, 2), %eax
	pushl	%eax
	call	take
	popl	%ecx
	addl	%eax, %ecx              /* the distance */
	leal	WINDOW(%ebp), %eax
	negl	%eax
	addl	%edi, %eax
	addl	OUTPUT(%ebp), %eax
	cmpl	%eax, %ecx              /* not before the first byte */
	ja	corrupt
	popl	%eax                    /* the length */
	pushl	%esi
	movl	%edi, %esi
	subl	%ecx, %esi
	leal	WINDOW(%ebp), %ecx
	cmpl	%ecx, %esi
	jae	3f
	addl	$WINDOW_SIZE, %esi
3:	pushl	%eax
	leal	WINDOW_END(%ebp), %ecx  /* as much as ends before either of the two wraps */
	subl	%edi, %ecx
	cmpl	%ecx, %eax
	jae	4f
	movl	%eax, %ecx
4:	leal	WINDOW_END(%ebp), %eax
	subl	%esi, %eax
	cmpl	%eax, %ecx
	jbe	5f
	movl	%eax, %ecx
5:	popl	%eax
	subl	%ecx, %eax
	rep movsb
	call	flush_if_full
	leal	WINDOW_END(%ebp), %ecx
	cmpl	%ecx, %esi
	jne	6f
	subl	$WINDOW_SIZE, %esi
6:	testl	%eax, %eax
	jnz	3b
	popl	%esi
	jmp	1b
9:	ret

/* RFC 1951, 3.2.6. */
fixed_codes:
	pushl	%esi
	pushl	%edi
	leal	LENGTHS(%ebp), %edi
	movl	%edi, %esi
	movl	$144, %ecx
	movb	$8, %al
	rep stosb
	movl	$112, %ecx
	movb	$9, %al
	rep stosb
	movl	$24, %ecx
	movb	$7, %al
	rep stosb
	movl	$8, %ecx
	movb	$8, %al
	rep stosb
	movl	$288, %ecx
	leal	LITERALS(%ebp), %eax
	call	build_code
	leal	LENGTHS(%ebp), %edi
	movl	$MOST_DISTANCES, %ecx
	movb	$5, %al
	rep stosb
	movl	$MOST_DISTANCES, %ecx
	leal	DISTANCES(%ebp), %eax
	call	build_code
	popl	%edi
	popl	%esi
	ret

/* RFC 1951, 3.2.7. */
read_codes:
	pushl	%edi
	call	refill
	movl	$5, %ecx
	call	take
	addl	$257, %eax
	cmpl	$MOST_LITERALS, %eax
	ja	corrupt
	movl	%eax, LITERAL_COUNT(%ebp)
	movl	$5, %ecx
	call	take
	incl	%eax
	cmpl	$MOST_DISTANCES, %eax
	ja	corrupt
	addl	LITERAL_COUNT(%ebp), %eax
	movl	%eax, LENGTH_COUNT(%ebp)
	movl	$4, %ecx
	call	take
	addl	$4, %eax
	pushl	%eax

	/* The code of the code lengths; it stands in LITERALS until that is built. */
	leal	LENGTHS(%ebp), %edi
	movl	$19, %ecx
	xorl	%eax, %eax
	rep stosb
	xorl	%edi, %edi
1:	call	refill
	movl	$3, %ecx
	call	take
	movzbl	length_order - startup_32(%ebp, %edi), %ecx
	movb	%al, LENGTHS(%ebp, %ecx)
	incl	%edi
	cmpl	(%esp), %edi
	jb	1b
	popl	%eax
	pushl	%esi
	leal	LENGTHS(%ebp), %esi
	movl	$19, %ecx
	leal	LITERALS(%ebp), %eax
	call	build_code
	popl	%esi

	xorl	%edi, %edi              /* how many lengths there are so far */
2:	call	refill
	leal	LITERALS(%ebp), %eax
	call	decode
	cmpl	$16, %eax
	jae	3f
	movb	%al, LENGTHS(%ebp, %edi)
	incl	%edi
	jmp	6f
3:	movl	$0x0203, %ecx           /* cl: fewest; ch: extra bits */
	je	4f
	movl	$0x0303, %ecx
	cmpl	$17, %eax
	je	5f
	movl	$0x070b, %ecx
	jmp	5f
4:	testl	%edi, %edi              /* 16: the length before, which there must be */
	jz	corrupt
	movzbl	LENGTHS - 1(%ebp, %edi), %eax
	jmp	7f
5:	xorl	%eax, %eax              /* 17, 18: zeros */
7:	pushl	%eax
	movzbl	%cl, %eax
	pushl	%eax
	movzbl	%ch, %ecx
	call	take
	popl	%ecx
	addl	%eax, %ecx
	popl	%eax
	pushl	%ecx
	addl	%edi, %ecx
	cmpl	LENGTH_COUNT(%ebp), %ecx
	ja	corrupt
	popl	%ecx
	pushl	%edi
	leal	LENGTHS(%ebp, %edi), %edi
	addl	%ecx, (%esp)
	rep stosb
	popl	%edi
6:	cmpl	LENGTH_COUNT(%ebp), %edi
	jb	2b

	pushl	%esi
	leal	LENGTHS(%ebp), %esi
	movl	LITERAL_COUNT(%ebp), %ecx
	leal	LITERALS(%ebp), %eax
	call	build_code
	addl	%ecx, %esi
	negl	%ecx
	addl	LENGTH_COUNT(%ebp), %ecx
	leal	DISTANCES(%ebp), %eax
	call	build_code
	popl	%esi
	popl	%edi
	ret

/* eax: the code to build; esi: ecx lengths. */
build_code:
	pushal
	movl	%ecx, %edx
	movl	%eax, %ebx
	movl	%eax, %edi
	xorl	%eax, %eax
	movl	$CODE_SIZE / 4, %ecx
	rep stosl
1:	movzbl	(%esi, %ecx), %eax      /* ecx is 0 */
	incw	CODE_COUNTS(%ebx, %eax, 2)
	incl	%ecx
	cmpl	%edx, %ecx
	jb	1b
	movw	$0, CODE_COUNTS(%ebx)   /* length 0: not used */

	/* ecx: length; edi: first code; eax: its place; the stack: how many codes are left. */
	pushl	%edx
	pushl	$1
	xorl	%edi, %edi
	xorl	%eax, %eax
	movl	$1, %ecx
2:	addl	%edi, %edi
	movl	%edi, NEXT(%ebp, %ecx, 4)
	movl	%eax, PLACE(%ebp, %ecx, 4)
	movzwl	CODE_COUNTS(%ebx, %ecx, 2), %edx
	addl	%edx, %edi
	addl	%edx, %eax
	shll	$1, (%esp)
	subl	%edx, (%esp)
	jl	corrupt                 /* more codes than there are */
	incl	%ecx
	cmpl	$LONGEST_CODE, %ecx
	jbe	2b
	popl	%eax
	popl	%edx

	xorl	%ecx, %ecx              /* the symbol */
3:	movzbl	(%esi, %ecx), %eax
	testl	%eax, %eax
	jz	6f
	movl	PLACE(%ebp, %eax, 4), %edi
	incl	PLACE(%ebp, %eax, 4)
	movw	%cx, CODE_SYMBOLS(%ebx, %edi, 2)
	movl	NEXT(%ebp, %eax, 4), %edi
	incl	NEXT(%ebp, %eax, 4)
	cmpl	$TABLE_BITS, %eax
	ja	6f
	/* Codes stand in the stream with their first bit first, so the table is indexed by the reverse. */
	pushl	%edx
	pushl	%ecx
	shll	$4, %ecx
	orl	%eax, %ecx
	pushl	%ecx                    /* the entry */
	movl	%eax, %ecx
	xorl	%edx, %edx
4:	shrl	$1, %edi
	adcl	%edx, %edx
	decl	%eax                    /* keeps CF, which is not needed */
	jnz	4b
	movl	$1, %edi
	shll	%cl, %edi               /* the distance of entries that begin alike */
	popl	%ecx
5:	movw	%cx, CODE_TABLE(%ebx, %edx, 2)
	addl	%edi, %edx
	cmpl	$1 << TABLE_BITS, %edx
	jb	5b
	popl	%ecx
	popl	%edx
6:	incl	%ecx
	cmpl	%edx, %ecx
	jb	3b
	popal
	ret

/* Changes edi when it stands at the end of the window, and nothing else. */
flush_if_full:
	pushl	%eax
	leal	WINDOW_END(%ebp), %eax
	cmpl	%eax, %edi
	popl	%eax
	jb	1f
	call	flush
	leal	WINDOW(%ebp), %edi
1:	ret

/* The bytes from the start of the window to edi: into the CRC, and to the segments that they belong to. */
flush:
	pushal
	leal	WINDOW(%ebp), %esi
	movl	%edi, %ecx
	subl	%esi, %ecx
	jz	9f
	pushl	%ecx
	movl	CRC(%ebp), %edx
1:	lodsb
	xorb	%dl, %al
	movzbl	%al, %eax
	shrl	$8, %edx
	xorl	CRC_TABLE(%ebp, %eax, 4), %edx
	decl	%ecx
	jnz	1b
	movl	%edx, CRC(%ebp)

	leal	segments - startup_32(%ebp), %ebx
	movl	segment_count - startup_32(%ebp), %edx
2:	movl	OUTPUT(%ebp), %eax
	movl	SEG_OFFSET(%ebx), %esi  /* the later of the two starts */
	cmpl	%esi, %eax
	jbe	3f
	movl	%eax, %esi
3:	movl	(%esp), %ecx            /* the earlier of the two ends */
	addl	%eax, %ecx
	movl	SEG_OFFSET(%ebx), %edi
	addl	SEG_FILE_SIZE(%ebx), %edi
	cmpl	%edi, %ecx
	jbe	4f
	movl	%edi, %ecx
4:	subl	%esi, %ecx
	jbe	5f
	movl	SEG_ADDRESS(%ebx), %edi
	addl	displacement - startup_32(%ebp), %edi
	addl	%esi, %edi
	subl	SEG_OFFSET(%ebx), %edi
	subl	%eax, %esi
	leal	WINDOW(%ebp, %esi), %esi
	call	copy
5:	addl	$SEG_SIZE, %ebx
	decl	%edx
	jnz	2b
	popl	%ecx
	addl	%ecx, OUTPUT(%ebp)
9:	popal
	ret

build_crc_table:
	leal	CRC_TABLE(%ebp), %edi
	xorl	%edx, %edx
1:	movl	%edx, %eax
	movl	$8, %ecx
2:	shrl	$1, %eax
	jnc	3f
	xorl	$CRC_POLYNOMIAL, %eax
3:	decl	%ecx
	jnz	2b
	stosl
	incb	%dl
	jnz	1b
	ret

corrupt:
	movl	$corrupt_message - startup_32, %eax
	jmp	fail
too_short:
	movl	$too_short_message - startup_32, %eax
	jmp	fail
bad_crc:
	movl	$bad_crc_message - startup_32, %eax
	jmp	fail

corrupt_message:
	.asciz	"startup32 wrap: the gzip payload is corrupt\r\n"
too_short_message:
	.asciz	"startup32 wrap: the gzip payload ends too early\r\n"
bad_crc_message:
	.asciz	"startup32 wrap: the gzip payload has a wrong CRC or size\r\n"

/* RFC 1951, 3.2.5 and 3.2.7. */
	.balign	2
length_bases:
	.word	3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258
distance_bases:
	.word	1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145
	.word	8193, 12289, 16385, 24577
length_bits:
	.byte	0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0
distance_bits:
	.byte	0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13
length_order:
	.byte	16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15
