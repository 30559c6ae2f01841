/*
 * multiboot: a kernel with a Multiboot header, which says on the serial port what its loader has told it.
 *
 * Multiboot Specification 0.6.96. The header stands in the first 8 KiB of the file, at a multiple of 4; the loader
 * enters with %eax = 0x2badb002 and %ebx = multiboot_info, paging off, and no GDT, IDT or stack that may be used. e_entry is a
 * virtual address, as GRUB 2 takes it: it subtracts p_vaddr of the segment and adds p_paddr.
 */
	.file	"multiboot.S"
	.include "linux.inc"

.set HEADER_MAGIC, 0x1badb002
.set PAGE_ALIGN_MODULES, 1 << 0
.set MEMORY_INFO, 1 << 1
.set HEADER_FLAGS, PAGE_ALIGN_MODULES | MEMORY_INFO

.set BOOTLOADER_MAGIC, 0x2badb002
.set MBI_FLAGS, 0x00
.set MBI_CMDLINE, 0x10
.set MBI_MODS_COUNT, 0x14
.set MBI_MODS_ADDR, 0x18
.set HAS_CMDLINE, 1 << 2
.set HAS_MODS, 1 << 3
.set MOD_SIZE, 16
.set MOD_CMDLINE, 8

.set COM1, 0x3f8                    /* the transmitter: no loader has to have set up the rest */

	.section .head.text, "ax"
	.balign	4
multiboot_header:
	.long	HEADER_MAGIC
	.long	HEADER_FLAGS
	.long	-(HEADER_MAGIC + HEADER_FLAGS)
	.type	multiboot_header, @object
	.size	multiboot_header, . - multiboot_header

	.globl	startup_32
startup_32:
	cmpl	$BOOTLOADER_MAGIC, %eax
	jne	stop
	movl	$stack_end - PAGE_OFFSET, %esp
	cld
	testl	$HAS_CMDLINE, MBI_FLAGS(%ebx)
	jz	1f
	movl	MBI_CMDLINE(%ebx), %esi
	call	print_line
1:	testl	$HAS_MODS, MBI_FLAGS(%ebx)
	jz	stop
	movl	MBI_MODS_COUNT(%ebx), %ecx
	movl	MBI_MODS_ADDR(%ebx), %edi
2:	movl	MOD_CMDLINE(%edi), %esi
	call	print_line
	addl	$MOD_SIZE, %edi
	loop	2b
stop:
	cli
1:	hlt
	jmp	1b
	function_end startup_32

/* %esi: a text that ends with NUL. Spoils %eax, %edx, %esi. */
print_line:
	movl	$COM1, %edx
1:	lodsb
	testb	%al, %al
	jz	2f
	outb	%al, %dx
	jmp	1b
2:	movb	$'\n', %al
	outb	%al, %dx
	ret
	function_end print_line

	.bss
	.balign	4
	.skip	256
stack_end:
