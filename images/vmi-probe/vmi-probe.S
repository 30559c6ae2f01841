/*
 * vmi-probe: looks for VMware's option ROM, and calls it.
 *
 * A kernel with CONFIG_VMI (Linux 2.6.21 to 2.6.36) boots as on a PC and looks for the hypervisor later, in setup_arch:
 * arch/x86/kernel/vmi_32.c, probe_vmi_rom and check_vmi_rom, 2.6.24. What it looks for: include/asm-x86/vmi.h, struct
 * vrom_header. Without the ROM it goes on as on a PC, which here is a hlt.
 *
 * With "reloc" on the command line it asks get_reloc for one call, as activate_vmi does for each after vmi_init.
 */
	.file	"vmi-probe.S"
	.include "linux.inc"

.set PROBE_START, 0xc0000
.set PROBE_END, 0xe0000
.set PROBE_STEP, 2048

/* struct vrom_header */
.set VROM_SIGNATURE, 0x00           /* u16 */
.set VROM_VMI_SIGNATURE, 0x08       /* u32 */
.set VROM_API_MAJOR, 0x0d           /* u8 */
.set VROM_LICENSE, 0x16             /* u16, from the start of the ROM */
.set VROM_PCI_HEADER, 0x18          /* u16 */
.set VROM_VMI_INIT, 0x80            /* code */
.set VROM_GET_RELOC, 0x88           /* code */

.set ROM_SIGNATURE, 0xaa55
.set VMI_SIGNATURE, 0x696d5663      /* "cVmi" */
.set API_MAJOR, 3
.set LICENSE_SIZE, 7                /* "GPL v2" and its NUL */

.set VMI_CALL_SetCR3, 17

	.section .head.text, "ax"
	.globl	startup_32
startup_32:
	cld
	movl	$stack_end - PAGE_OFFSET, %esp
	first_character_of_command_line
	movl	%eax, %ebp

	movl	$PROBE_START, %ebx
probe:
	cmpw	$ROM_SIGNATURE, VROM_SIGNATURE(%ebx)
	jne	next
	cmpl	$VMI_SIGNATURE, VROM_VMI_SIGNATURE(%ebx)
	jne	next
	cmpb	$API_MAJOR, VROM_API_MAJOR(%ebx)
	jne	next
	cmpw	$0, VROM_PCI_HEADER(%ebx)
	je	next
	movzwl	VROM_LICENSE(%ebx), %esi
	addl	%ebx, %esi
	movl	$license - PAGE_OFFSET, %edi
	movl	$LICENSE_SIZE, %ecx
	repe cmpsb
	je	found
next:
	addl	$PROBE_STEP, %ebx
	cmpl	$PROBE_END, %ebx
	jb	probe

no_rom:
	hlt
	jmp	no_rom

found:
	cmpl	$'r', %ebp
	je	ask
	leal	VROM_VMI_INIT(%ebx), %eax
	call	*%eax
	jmp	no_rom
ask:
	leal	VROM_GET_RELOC(%ebx), %edx
	movl	$VMI_CALL_SetCR3, %eax
	call	*%edx
	jmp	no_rom
	function_end startup_32

	.data
license:
	.asciz	"GPL v2"

	.bss
	.balign	4
	.skip	16
stack_end:
