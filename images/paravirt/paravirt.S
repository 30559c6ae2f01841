/*
 * paravirt: one entry point for every system that can start the kernel.
 *
 * What was merged in Linux 2.6.24 (commit a24e785111a, "paravirt boot sequence"; arch/x86/kernel/head_32.S): boot
 * protocol 2.07 gives the loader two words to say what it is. KEEP_SEGMENTS in loadflags: the segment registers are
 * good, do not reload them (there may be no GDT to reload from). hardware_subarch: which start-up code to jump to.
 * Up to that jump not one instruction needs a privilege.
 */
	.file	"paravirt.S"
	.include "linux.inc"

.set PROTOCOL_PARAVIRT, 0x0207
.set CR0_WP_NE_MP, 0x00010022       /* SDM vol. 3, 2.5; head_32.S sets them together */

/* lguest: arch/x86/include/asm/lguest_hcall.h, 4.13. Number in %eax, first argument in %ebx. */
.set LGUEST_TRAP_ENTRY, 0x1f
.set LHCALL_LGUEST_INIT, 1
.set LGUEST_SYSCALL_VEC, 0x568      /* syscall_vec, the last field of struct lguest_data: include/linux/lguest.h, 4.13 */
.set SYSCALL_VECTOR, 0x80

/* Xen: xen/include/public/arch-x86/xen-x86_32.h and xen.h. Number in %eax, first argument in %ebx. */
.set XEN_TRAP_ENTRY, 0x82
.set HYPERVISOR_xen_version, 17
.set XENVER_version, 0

	.section .head.text, "ax"
	.globl	startup_32
startup_32:
	/*
	 * 2.6.24 asked for the version first: an older loader has no KEEP_SEGMENTS, and whatever stands in that bit of
	 * its boot_params means nothing.
	 */
	cmpw	$PROTOCOL_PARAVIRT, BP_VERSION(%esi)
	jb	reload_segments
	testb	$KEEP_SEGMENTS, BP_LOADFLAGS(%esi)
	jnz	segments_are_good
reload_segments:
	lgdt	boot_gdt_descr - PAGE_OFFSET
	movl	$BOOT_DS, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
segments_are_good:
	cld
	xorl	%eax, %eax
	movl	$__bss_start - PAGE_OFFSET, %edi
	movl	$__bss_stop - PAGE_OFFSET, %ecx
	subl	%edi, %ecx
	shrl	$2, %ecx
	rep stosl
	movl	$boot_params - PAGE_OFFSET, %edi
	movl	$BP_SIZE / 4, %ecx
	rep movsl

	cmpw	$PROTOCOL_PARAVIRT, boot_params - PAGE_OFFSET + BP_VERSION
	jb	default_entry
	movl	boot_params - PAGE_OFFSET + BP_HARDWARE_SUBARCH, %eax
	cmpl	$(.Lsubarch_entries_end - subarch_entries) / 4, %eax
	jae	bad_subarch
	movl	subarch_entries - PAGE_OFFSET(, %eax, 4), %eax
	subl	$PAGE_OFFSET, %eax
	jmp	*%eax
bad_subarch:
	ud2                             /* nobody who could be told: stop where it can be seen */
	function_end startup_32

/* hardware_subarch 0: a PC, ring 0. */
default_entry:
	movl	%cr0, %eax
	orl	$CR0_WP_NE_MP, %eax
	movl	%eax, %cr0
1:	hlt
	jmp	1b
	function_end default_entry

/* hardware_subarch 1. The host knows nothing of this guest before LGUEST_INIT; any other first call kills it. */
lguest_entry:
	movl	$LHCALL_LGUEST_INIT, %eax
	movl	$lguest_data - PAGE_OFFSET, %ebx
	int	$LGUEST_TRAP_ENTRY
1:	jmp	1b
	function_end lguest_entry

/*
 * hardware_subarch 2. Linux never gave this slot any code: Xen enters through the ELF note ENTRY instead
 * (see images/xen-hello). Here it does what a loader of the 2.07 protocol under Xen would have needed.
 */
xen_entry:
	movl	%esi, xen_entry_esi - PAGE_OFFSET
	movl	$HYPERVISOR_xen_version, %eax
	movl	$XENVER_version, %ebx
	xorl	%ecx, %ecx
	int	$XEN_TRAP_ENTRY
1:	jmp	1b
	function_end xen_entry

	.data
	.balign	4
subarch_entries:
	.long	default_entry           /* 0: PC */
	.long	lguest_entry            /* 1: lguest */
	.long	xen_entry               /* 2: Xen */
.Lsubarch_entries_end:
	.type	subarch_entries, @object
	.size	subarch_entries, .Lsubarch_entries_end - subarch_entries

lguest_data:
	.skip	LGUEST_SYSCALL_VEC
	.long	SYSCALL_VECTOR          /* the host refuses any other */

boot_gdt_descr:
	.word	.Lboot_gdt_end - boot_gdt - 1
	.long	boot_gdt - PAGE_OFFSET
	.balign	8
boot_gdt:
	.quad	0, 0, FLAT_CODE, FLAT_DATA
.Lboot_gdt_end:

	.bss
boot_params:
	.skip	BP_SIZE
xen_entry_esi:
	.skip	4
