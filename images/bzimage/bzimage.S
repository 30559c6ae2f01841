/*
 * bzimage: images/paravirt wrapped as Linux wraps its kernels: boot sector, setup header, and a piece of 32-bit code in
 * front of the kernel proper that puts it where it belongs.
 *
 * The payload is not compressed: payload_offset points at an ELF file, which boot.rst allows (magic 7f 45 4c 46). So
 * all that the 32-bit code has to do is what a decompressor does around the decompressing: get out of the way, place
 * the program headers, jump. It is modelled on arch/x86/boot/compressed/head_32.S of 2.6.24 to 2.6.30; from 2.6.31 on
 * there is also a `pushl $0; popfl`, which images/popf shows.
 *
 * The linker puts the two sections one after the other and writes no headers; the build appends the CRC.
 */
	.file	"bzimage.S"
	.include "linux.inc"

.set SECTOR, 512
.set SETUP_SECTORS, 1               /* after the boot sector; 0 would mean 4 */
.set LOAD_ADDRESS, 0x100000
.set INIT_SIZE, 0x10000             /* from the load address: room for the kernel and, behind it, for a copy of us */
.set CRC_SIZE, 4

/* ---- The boot sector and the setup code: 16-bit, at any segment ---- */

	.section .setup, "ax"
	.code16
boot_sector:
	/* A boot sector that is run as one: say why nothing happens. Linux has done the same since it left the floppy. */
	call	1f
1:	popw	%si
	addw	$no_boot_sector - 1b, %si
	jmp	print
no_boot_sector:
	.asciz	"This is a kernel image. Start it with a boot loader.\r\n"

	.org	0x1ef
	.byte	0xff                    /* sentinel: a loader that copies more than the header leaves it here */
	.org	0x1f1
	.byte	SETUP_SECTORS           /* 1f1 setup_sects */
	.word	0                       /* 1f2 root_flags */
	.long	(protected_mode_end - protected_mode + CRC_SIZE) / 16 /* 1f4 syssize */
	.word	0                       /* 1f8 ram_size */
	.word	0xffff                  /* 1fa vid_mode: normal */
	.word	0                       /* 1fc root_dev */
	.word	0xaa55                  /* 1fe boot_flag */
	.byte	0xeb, setup_header_end - 1f /* 200 jump: its distance says where the header ends */
1:	.ascii	"HdrS"                  /* 202 header */
	.word	0x020a                  /* 206 version: 2.10 */
	.long	0                       /* 208 realmode_swtch */
	.word	0                       /* 20c start_sys_seg */
	.word	kernel_version - 0x200  /* 20e kernel_version */
	.byte	0                       /* 210 type_of_loader */
	.byte	0x01                    /* 211 loadflags: LOADED_HIGH */
	.word	0                       /* 212 setup_move_size */
	.long	LOAD_ADDRESS            /* 214 code32_start */
	.long	0                       /* 218 ramdisk_image */
	.long	0                       /* 21c ramdisk_size */
	.long	0                       /* 220 bootsect_kludge */
	.word	0                       /* 224 heap_end_ptr */
	.byte	0                       /* 226 ext_loader_ver */
	.byte	0                       /* 227 ext_loader_type */
	.long	0                       /* 228 cmd_line_ptr */
	.long	0x37ffffff              /* 22c initrd_addr_max */
	.long	0x1000                  /* 230 kernel_alignment */
	.byte	1                       /* 234 relocatable_kernel: our 32-bit code is; the payload is not (see below) */
	.byte	12                      /* 235 min_alignment: log2 */
	.word	0                       /* 236 xloadflags, only from 2.12 on */
	.long	255                     /* 238 cmdline_size */
	.long	0                       /* 23c hardware_subarch */
	.quad	0                       /* 240 hardware_subarch_data */
	.long	payload - protected_mode /* 248 payload_offset */
	.long	payload_end - payload   /* 24c payload_length */
	.quad	0                       /* 250 setup_data */
	.quad	LOAD_ADDRESS            /* 258 pref_address */
	.long	INIT_SIZE               /* 260 init_size */
setup_header_end:

	/* The 16-bit entry. A loader of the 32-bit boot protocol never comes here; one that does is told so. */
	call	1f
1:	popw	%si
	addw	$no_setup_code - 1b, %si
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
no_setup_code:
	.asciz	"This kernel image has no 16-bit code. Enter it in 32-bit mode.\r\n"
kernel_version:
	.asciz	"startup32 bzimage (paravirt)"

	.org	(SETUP_SECTORS + 1) * SECTOR

/* ---- The protected-mode code: loaded at LOAD_ADDRESS, or anywhere else ---- */

	.section .protected, "ax"
	.code32
protected_mode:
startup_32:
	cld
	/* A paravirtual loader's segments are good, and there may be no others to have. */
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
	/*
	 * Where are we? The boot protocol promises no stack, but boot_params has four bytes to spare: enough for the
	 * return address of one call.
	 */
	leal	BP_SCRATCH + 4(%esi), %esp
	call	1f
1:	popl	%ebp
	subl	$1b - startup_32, %ebp  /* ebp = load address */

	/*
	 * The payload wants the very place where we are. Move to the end of the init_size bytes that the loader has set
	 * aside, last dword first in case the two places overlap.
	 */
	leal	INIT_SIZE - MOVED_SIZE(%ebp), %ebx
	movl	%esi, %edx
	leal	MOVED_SIZE - 4(%ebp), %esi
	leal	MOVED_SIZE - 4(%ebx), %edi
	movl	$MOVED_SIZE / 4, %ecx
	std
	rep movsl
	cld
	leal	moved - startup_32(%ebx), %eax
	jmp	*%eax
moved:
	leal	stack_end - startup_32(%ebx), %esp
	pushl	%edx                    /* boot_params */

	/*
	 * Place every PT_LOAD at its p_paddr. A real decompressor would then relocate the kernel to where it was loaded;
	 * this payload has no relocations and belongs at its p_paddr. Loaded elsewhere it still goes there, outside the
	 * memory that init_size asks for: harmless on a PC, a page fault under a loader that maps no more than promised.
	 */
	leal	payload - startup_32(%ebx), %ebp
	movl	28(%ebp), %edx          /* e_phoff */
	addl	%ebp, %edx
	movzwl	44(%ebp), %eax          /* e_phnum */
next_header:
	pushl	%eax
	cmpl	$1, 0(%edx)             /* p_type: PT_LOAD */
	jne	skip_header
	movl	4(%edx), %esi           /* p_offset */
	addl	%ebp, %esi
	movl	12(%edx), %edi          /* p_paddr */
	movl	16(%edx), %ecx          /* p_filesz */
	rep movsb
	movl	20(%edx), %ecx          /* p_memsz */
	subl	16(%edx), %ecx
	xorl	%eax, %eax
	rep stosb
skip_header:
	movzwl	42(%ebp), %eax          /* e_phentsize */
	addl	%eax, %edx
	popl	%eax
	decl	%eax
	jnz	next_header

	popl	%esi                    /* boot_params again */
	movl	24(%ebp), %eax          /* e_entry */
	xorl	%ebx, %ebx              /* as the boot protocol has it: ebx, ebp, edi 0 */
	xorl	%ebp, %ebp
	xorl	%edi, %edi
	jmp	*%eax

	.balign	16, 0
payload:
	.incbin	"paravirt/paravirt.elf"
payload_end:
	.balign	4, 0
	.skip	64
stack_end:
	.set	MOVED_SIZE, stack_end - startup_32

	/* syssize counts 16-byte paragraphs, the CRC that the build appends included. */
	.balign	16, 0
	.skip	16 - CRC_SIZE
protected_mode_end:
