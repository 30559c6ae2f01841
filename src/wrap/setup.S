/*
 * The boot sector and the 16-bit setup code. A loader that enters in 32-bit mode reads the setup header of it and
 * nothing else; one that enters here (boot.rst, "Running the kernel") has DS = ES = SS = the segment of the boot sector,
 * and CS 0x20 above it.
 */

.set BOOT_PARAMS, 0x6000            /* offset in the segment; the loader leaves us the first 32 KiB of it */
.set STACK_TOP, 0x8000
.set BP_EXT_MEM_K, 0x002            /* zero-page.rst, screen_info */
.set BP_VIDEO_MODE, 0x006
.set BP_COLUMNS, 0x007
.set BP_LINES, 0x00e
.set BP_IS_VGA, 0x00f
.set BP_FONT_POINTS, 0x010
.set BP_ALT_MEM_K, 0x1e0
.set BP_E820_ENTRIES, 0x1e8
.set BP_HEADER, 0x1f1
.set BP_E820_TABLE, 0x2d0
.set E820_ENTRY_SIZE, 20
.set E820_MOST_ENTRIES, 128
.set SMAP, 0x534d4150

	.section .setup, "ax"
	.code16
boot_sector:
	/*
	 * With an ELF header these bytes are 7f 45 4c 46 01 01 01 ff eb 3d: jg to normalize, or dec, inc, two harmless adds,
	 * and jmp to normalize (linux-kernel, 2006-08-01, "i386 boot: Add an ELF header to bzImage").
	 */
	.byte	0xeb, normalize - . - 1 /* jmp normalize: 0xeb 0x45 */

	.org	71
normalize:
	jmp	no_loader

	.org	80                      /* room for the program headers: one PT_LOAD, one PT_NOTE */

	.org	144
no_loader:
	call	1f
1:	popw	%si
	addw	$no_loader_message - 1b, %si
print:
	movw	%cs, %ax
	movw	%ax, %ds
	cld
1:	lodsb
	testb	%al, %al
	jz	2f
	movw	$0x0007, %bx
	movb	$0x0e, %ah              /* BIOS int 10h: write a character */
	int	$0x10
	jmp	1b
2:	hlt
	jmp	2b
no_loader_message:
	.asciz	"This is a kernel image. Start it with a boot loader.\r\n"

	.org	0x1ef
	.byte	0xff                    /* sentinel: a loader that copies more than the header leaves it here */
	.org	0x1f1
	.byte	SETUP_SIZE / SECTOR - 1 /* 1f1 setup_sects */
	.word	0                       /* 1f2 root_flags */
	.long	0                       /* 1f4 syssize: wrap */
	.word	0                       /* 1f8 ram_size */
	.word	0xffff                  /* 1fa vid_mode: normal */
	.word	0                       /* 1fc root_dev */
	.word	0xaa55                  /* 1fe boot_flag */
setup_entry:
	.byte	0xeb, setup_header_end - 1f /* 200 jump: its distance says where the header ends */
1:	.ascii	"HdrS"                  /* 202 header */
	.word	0x020a                  /* 206 version: 2.10, the first with pref_address and init_size */
realmode_swtch:
	.long	0                       /* 208 realmode_swtch */
	.word	0                       /* 20c start_sys_seg */
	.word	kernel_version - 0x200  /* 20e kernel_version */
	.byte	0                       /* 210 type_of_loader */
	.byte	0x01                    /* 211 loadflags: LOADED_HIGH */
	.word	0                       /* 212 setup_move_size */
code32_start:
	.long	0x100000                /* 214 code32_start: wrap, and the loader's hook */
	.long	0                       /* 218 ramdisk_image */
	.long	0                       /* 21c ramdisk_size */
	.long	0                       /* 220 bootsect_kludge */
	.word	0                       /* 224 heap_end_ptr: no heap is used */
	.byte	0                       /* 226 ext_loader_ver */
	.byte	0                       /* 227 ext_loader_type */
	.long	0                       /* 228 cmd_line_ptr */
	.long	0x37ffffff              /* 22c initrd_addr_max: what holds for a kernel that does not say */
	.long	0                       /* 230 kernel_alignment: wrap */
	.byte	0                       /* 234 relocatable_kernel: wrap */
	.byte	0                       /* 235 min_alignment: wrap */
	.word	0                       /* 236 xloadflags, only from 2.12 on */
	.long	2047                    /* 238 cmdline_size: COMMAND_LINE_SIZE of Linux, without the NUL */
	.long	0                       /* 23c hardware_subarch */
	.quad	0                       /* 240 hardware_subarch_data */
	.long	0                       /* 248 payload_offset: wrap */
	.long	0                       /* 24c payload_length: wrap */
	.quad	0                       /* 250 setup_data */
	.quad	0                       /* 258 pref_address: wrap */
	.long	0                       /* 260 init_size: wrap */
setup_header_end:

	/* ---- 16-bit setup: as boot.rst and Linux arch/x86/boot/{main,memory,a20,pm}.c have it, and no more of it ---- */
	movw	%ds, %ax
	movw	%ax, %es
	movw	%ax, %ss
	movw	$STACK_TOP - 4, %sp
	cld
	sti
	pushw	%ds                     /* CS as DS, so that an offset means the same in both */
	pushw	$1f
	lretw
1:
	/* An otherwise zeroed boot_params with the header in it, which has what the loader wrote: the command line too. */
	xorl	%eax, %eax
	movw	$BOOT_PARAMS, %di
	movw	$BP_SIZE / 4, %cx
	rep stosl
	movw	$BP_HEADER, %si
	movw	$BOOT_PARAMS + BP_HEADER, %di
	movw	$setup_header_end - BP_HEADER, %cx
	rep movsb

	call	detect_memory
	call	detect_screen
	call	enable_a20

	/* The last code in real mode may be the loader's own. */
	cmpl	$0, realmode_swtch
	je	1f
	lcallw	*realmode_swtch
	jmp	2f
1:	cli
	movb	$0x80, %al              /* no NMI either */
	outb	%al, $0x70
	call	io_delay
2:
	xorb	%al, %al                /* the coprocessor's error, cleared */
	outb	%al, $0xf0
	call	io_delay
	outb	%al, $0xf1
	call	io_delay
	movb	$0xff, %al              /* all interrupts masked, but the cascade */
	outb	%al, $0xa1
	call	io_delay
	movb	$0xfb, %al
	outb	%al, $0x21
	call	io_delay

	xorl	%ebx, %ebx
	movw	%ds, %bx
	shll	$4, %ebx                /* ebx: linear address of the boot sector */
	addl	%ebx, gdt_pointer + 2
	addl	%ebx, flat_jump + 2
	leal	BOOT_PARAMS(%ebx), %esi
	movl	code32_start, %eax
	lidtl	no_idt
	lgdtl	gdt_pointer
	movl	%cr0, %edx
	orb	$1, %dl
	movl	%edx, %cr0
	jmp	flat_jump
flat_jump:
	.byte	0x66, 0xea              /* ljmpl $BOOT_CS, $flat */
	.long	flat                    /* and the linear address of the boot sector */
	.word	BOOT_CS
	.code32
flat:
	movl	$BOOT_DS, %ecx
	movl	%ecx, %ds
	movl	%ecx, %es
	movl	%ecx, %fs
	movl	%ecx, %gs
	movl	%ecx, %ss
	addl	%ebx, %esp
	movl	$0x20, %ecx
	ltr	%cx
	xorl	%ecx, %ecx
	lldt	%cx
	xorl	%edx, %edx
	xorl	%ebx, %ebx
	xorl	%ebp, %ebp
	xorl	%edi, %edi
	jmp	*%eax
	.code16

/* The BIOS memory map, and the two older figures of which kernels without e820 make one. */
detect_memory:
	movw	$BOOT_PARAMS + BP_E820_TABLE, %di
	xorl	%ebx, %ebx
1:	movl	$0xe820, %eax
	movl	$SMAP, %edx
	movl	$E820_ENTRY_SIZE, %ecx
	int	$0x15
	jc	2f                      /* also how some end their list */
	cmpl	$SMAP, %eax
	jne	2f
	incb	BOOT_PARAMS + BP_E820_ENTRIES
	addw	$E820_ENTRY_SIZE, %di
	testl	%ebx, %ebx
	jz	2f
	cmpb	$E820_MOST_ENTRIES, BOOT_PARAMS + BP_E820_ENTRIES
	jb	1b
2:
	movw	$0xe801, %ax
	xorw	%cx, %cx
	xorw	%dx, %dx
	int	$0x15
	jc	4f
	testw	%cx, %cx                /* some leave the answer in ax and bx */
	jz	3f
	movw	%cx, %ax
	movw	%dx, %bx
3:	cmpw	$15 * 1024, %ax         /* ax: KiB from 1 MiB to 16 MiB; bx: 64 KiB blocks above that */
	ja	4f
	movzwl	%ax, %eax
	movzwl	%bx, %ebx
	cmpw	$15 * 1024, %ax
	jne	3f
	shll	$6, %ebx
	addl	%ebx, %eax
3:	movl	%eax, BOOT_PARAMS + BP_ALT_MEM_K
4:
	movb	$0x88, %ah
	int	$0x15
	jc	5f
	movw	%ax, BOOT_PARAMS + BP_EXT_MEM_K
5:	ret

/* screen_info for text mode, which is where the BIOS leaves a PC. */
detect_screen:
	movb	$0x0f, %ah
	int	$0x10                   /* al: mode, ah: columns, bh: page */
	andb	$0x7f, %al
	movb	%al, BOOT_PARAMS + BP_VIDEO_MODE
	movb	%ah, BOOT_PARAMS + BP_COLUMNS
	movb	%bh, BOOT_PARAMS + 4    /* orig_video_page */
	movb	$0x03, %ah
	int	$0x10                   /* dl, dh: the cursor's column and line */
	movw	%dx, BOOT_PARAMS        /* orig_x, orig_y */
	movb	$25, BOOT_PARAMS + BP_LINES
	movb	$1, BOOT_PARAMS + BP_IS_VGA
	movw	$16, BOOT_PARAMS + BP_FONT_POINTS
	ret

enable_a20:
	call	test_a20
	jnz	9f
	movw	$0x2401, %ax            /* BIOS int 15h: enable the A20 gate */
	int	$0x15
	call	test_a20
	jnz	9f
	call	keyboard_ready
	movb	$0xd1, %al              /* write the output port */
	outb	%al, $0x64
	call	keyboard_ready
	movb	$0xdf, %al              /* A20 on */
	outb	%al, $0x60
	call	keyboard_ready
	movb	$0xff, %al              /* a null command: some controllers want one */
	outb	%al, $0x64
	call	keyboard_ready
	call	test_a20
	jnz	9f
	inb	$0x92, %al              /* system control port A */
	orb	$2, %al
	andb	$0xfe, %al              /* bit 0 would reset the machine */
	outb	%al, $0x92
	call	test_a20
	jnz	9f
	movw	$no_a20_message, %si
	jmp	print
9:	ret

keyboard_ready:
	movw	$0xffff, %cx
1:	inb	$0x64, %al
	cmpb	$0xff, %al              /* no controller at all */
	je	2f
	testb	$2, %al                 /* input buffer full */
	loopnz	1b
2:	ret

/* NZ: a write to 0x200 does not show at 0x100200. The gate may need a moment. */
test_a20:
	pushw	%fs
	pushw	%gs
	xorw	%ax, %ax
	movw	%ax, %fs
	decw	%ax
	movw	%ax, %gs
	movw	$0x1000, %cx
	movl	%fs:0x200, %edx
	movl	%edx, %eax
1:	incl	%eax
	movl	%eax, %fs:0x200
	call	io_delay
	cmpl	%gs:0x210, %eax
	loope	1b
	setne	%al
	movl	%edx, %fs:0x200
	testb	%al, %al
	popw	%gs
	popw	%fs
	ret

io_delay:
	outb	%al, $0x80
	ret

no_a20_message:
	.asciz	"The A20 gate does not open: memory above 1 MiB cannot be used.\r\n"
kernel_version:
	.asciz	"startup32 wrap"

	.balign	4
no_idt:
	.word	0
	.long	0
gdt_pointer:
	.word	gdt_end - gdt - 1
	.long	gdt                     /* and the linear address of the boot sector */
	.balign	8
gdt:
	.quad	0, 0
	.quad	0x00cf9b000000ffff      /* BOOT_CS */
	.quad	0x00cf93000000ffff      /* BOOT_DS */
	.quad	0x0000890010000067      /* 0x20: a TSS at 0x1000 that is never used */
gdt_end:

	.org	SETUP_SIZE
