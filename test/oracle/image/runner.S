# The runner: enters one case after the other and writes down what came of it. Flat 32-bit code in ring 0, linked at
# RUNNER; a case's GDT has the runner's two descriptors in the same places. The constants come from build.ts with
# --defsym; the layout of a case and of an outcome is that of encoding.ts.

        .set    RUNNER_CR4, 0x200       # OSFXSR: the runner copies with SSE

        .text
        .globl  _start
_start:
        movw    $RUNNER_DATA, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        movl    $RUNNER_STACK_TOP, %esp
        cld
        movl    $RUNNER_CR4, %eax
        movl    %eax, %cr4

        movl    $CASES, next_case

next:   movl    next_case, %esi
        movl    (%esi), %eax            # size of this case; 0 behind the last
        testl   %eax, %eax
        jz      finished
        addl    %esi, %eax
        movl    %eax, next_case

        # "case N begins" goes out before anything can happen.
        pushl   %esi
        movl    4(%esi), %eax
        movl    %eax, begin_number
        movl    $begin, %esi
        movl    $8, %ecx
        movw    $0xe9, %dx
        rep outsb

        movl    $TEMPLATE, %esi
        movl    $ARENA, %edi
        movl    $ARENA_SIZE / 128, %ecx
refill: .set    offset, 0               # four times as fast as REP MOVS on Bochs
        .rept   8
        movaps  offset(%esi), %xmm0
        movaps  %xmm0, offset(%edi)
        .set    offset, offset + 16
        .endr
        addl    $128, %esi
        addl    $128, %edi
        decl    %ecx
        jnz     refill
        popl    %esi

        movl    $c_begin, %edi
        movl    $(c_end - c_begin) / 4, %ecx
        rep movsl
        movl    c_writes, %ebx
        testl   %ebx, %ebx
        jz      2f
1:      lodsl                           # a write: address, dwords of its room, bytes, the bytes
        movl    %eax, %edi
        lodsl
        leal    (%esi, %eax, 4), %ebp
        lodsl
        movl    %eax, %ecx
        rep movsb
        leal    4(%ebp), %esi
        decl    %ebx
        jnz     1b

        # What the last case, or the BIOS, may have left outside the arena.
2:      xorl    %edi, %edi              # page 0: vectors of virtual-8086 mode, and zeros
        movl    $256, %ecx
        movl    $REAL_MODE_HANDLER, %eax
        rep stosl
        movl    $0x300, %ecx
        xorl    %eax, %eax
        rep stosl
        movb    $0xff, %al              # no interrupts from outside, whatever IF a case asks for
        outb    %al, $0x21
        outb    %al, $0xa1
        fninit
        ldmxcsr mxcsr
        movl    $0x400, %eax
        movl    %eax, %dr7
        movl    $0xffff0ff0, %eax
        movl    %eax, %dr6
        xorl    %eax, %eax
        movl    %eax, %dr0
        movl    %eax, %dr1
        movl    %eax, %dr2
        movl    %eax, %dr3
        xorl    %edx, %edx
        movl    c_efer, %eax
        movl    $0xc0000080, %ecx       # IA32_EFER
        wrmsr
        xorl    %eax, %eax
        movl    $0x174, %ecx            # IA32_SYSENTER_CS, _ESP, _EIP
        wrmsr
        incl    %ecx
        wrmsr
        incl    %ecx
        wrmsr

        movl    $DOUBLE_FAULT_TSS_BASE, %edi
        movl    $104 / 4, %ecx
        movl    $double_fault_tss, %esi
        rep movsl
        movl    c_cr3, %eax
        movl    %eax, DOUBLE_FAULT_TSS_BASE + 0x1c
        movl    %eax, %cr3
        xorl    %ecx, %ecx
        movl    %ecx, %cr2

        lidt    runner_idtr             # a CR4 bit that this CPU does not have must not look like the case's fault
        movl    c_cr4, %eax
        movl    %eax, %cr4
        movl    c_cr0, %eax
        movl    %eax, %cr0
        lgdt    case_gdtr
        lldt    c_ldtr
        movw    $TSS_SELECTOR, %ax
        ltr     %ax
        lidt    case_idtr

        movl    c_kind, %eax
        decl    %eax
        jz      outer_ring
        decl    %eax
        jz      vm86

        # Ring 0: EFLAGS with an IRET that stays here, so that VIF and VIP are set as well; then a far jump.
        pushl   c_eflags
        pushl   $RUNNER_CODE
        pushl   $3f
        iretl
3:      movw    c_gs, %gs
        movw    c_fs, %fs
        movw    c_es, %es
        movl    c_eax, %eax
        movl    c_ecx, %ecx
        movl    c_edx, %edx
        movl    c_ebx, %ebx
        movl    c_ebp, %ebp
        movl    c_esi, %esi
        movl    c_edi, %edi
        movw    c_ds, %ds
        lssl    %cs:c_esp, %esp
        ljmpl   *%cs:c_eip

outer_ring:
        pushl   c_ss
        pushl   c_esp
        pushl   c_eflags
        pushl   c_cs
        pushl   c_eip
        movw    c_gs, %gs
        movw    c_fs, %fs
        movw    c_es, %es
        movl    c_eax, %eax
        movl    c_ecx, %ecx
        movl    c_edx, %edx
        movl    c_ebx, %ebx
        movl    c_ebp, %ebp
        movl    c_esi, %esi
        movl    c_edi, %edi
        movw    c_ds, %ds
        iretl

vm86:   pushl   c_gs
        pushl   c_fs
        pushl   c_ds
        pushl   c_es
        pushl   c_ss
        pushl   c_esp
        pushl   c_eflags
        pushl   c_cs
        pushl   c_eip
        movl    c_eax, %eax
        movl    c_ecx, %ecx
        movl    c_edx, %edx
        movl    c_ebx, %ebx
        movl    c_ebp, %ebp
        movl    c_esi, %esi
        movl    c_edi, %edi
        iretl

# From the handlers below: EAX of the case is in DR0; vector << 16 | DS is in EAX. The case's GDT, page tables and stack
# are still in use; DS, ES, FS and GS may be anything.
handler:
        movw    %cs:flat_data, %ds
        movl    %eax, o_ds
        movl    %ecx, o_ecx
        movl    %edx, o_edx
        movl    %ebx, o_ebx
        movl    %ebp, o_ebp
        movl    %esi, o_esi
        movl    %edi, o_edi
        movl    %dr0, %ebx
        movl    %ebx, o_eax
        shrl    $16, %eax
        movl    %eax, o_vector
        movw    $0, o_ds + 2
        movw    %es, o_es
        movw    %fs, o_fs
        movw    %gs, o_gs
        movw    %ss, o_ss
        movl    %cr0, %ebx
        movl    %ebx, o_cr0
        movl    %cr2, %ebx
        movl    %ebx, o_cr2
        movl    %cr3, %ebx
        movl    %ebx, o_cr3
        movl    %cr4, %ebx
        movl    %ebx, o_cr4
        sgdt    o_gdtr
        sidt    o_idtr
        sldt    o_ldtr
        str     o_tr

        # Is there an error code? By the vector; but `int $13` pushes none, and from an outer ring the depth of the
        # stack tells (from ring 0 nothing does).
        xorl    %esi, %esi
        btl     %eax, with_error_code
        jnc     5f
        incl    %esi
        cmpw    $RUNNER_DATA, o_ss
        jne     5f
        movl    $RING0_STACK_TOP, %ecx
        subl    %esp, %ecx
        cmpl    $20, %ecx
        je      4f
        cmpl    $36, %ecx
        jne     5f
        testl   $0x20000, %ss:8(%esp)
        jz      5f
4:      xorl    %esi, %esi
5:      movl    %esi, o_has_error_code
        movl    $0, o_error_code
        testl   %esi, %esi
        jz      6f
        popl    o_error_code
6:      popl    o_eip
        popl    %ecx
        movw    %cx, o_cs
        popl    %ebx
        movl    %ebx, o_eflags
        movl    $1, o_outside_ring0
        testl   $0x20000, %ebx          # VM
        jnz     7f
        testb   $3, %cl
        jnz     8f
        movl    %esp, o_esp
        movl    $0, o_outside_ring0
        jmp     restore
7:      popl    o_esp
        popl    %ecx
        movw    %cx, o_ss
        popl    %ecx
        movw    %cx, o_es
        popl    %ecx
        movw    %cx, o_ds
        popl    %ecx
        movw    %cx, o_fs
        popl    %ecx
        movw    %cx, o_gs
        jmp     restore
8:      popl    o_esp
        popl    %ecx
        movw    %cx, o_ss

restore:
        movl    $0x11, %eax             # PE and ET: no paging
        movl    %eax, %cr0
        movl    $RUNNER_CR4, %eax
        movl    %eax, %cr4
        lgdt    runner_gdtr
        lidt    runner_idtr
        ljmpl   $RUNNER_CODE, $9f
9:      movw    $RUNNER_DATA, %cx
        movw    %cx, %ds
        movw    %cx, %es
        movw    %cx, %ss
        movl    $RUNNER_STACK_TOP, %esp
        xorl    %eax, %eax
        movw    %ax, %fs
        movw    %ax, %gs
        lldt    %ax
        pushl   $2
        popfl

        # QEMU's POPF and IRET leave VIF and VIP as they are, but for an IRET to virtual-8086 mode: there and back.
        testl   $0x180000, o_eflags
        jz      collect
        movb    $0x89, runner_tss + 5   # not busy
        movw    $runner_tss - runner_gdt, %ax
        ltr     %ax
        .rept   5                       # GS, FS, DS, ES, SS
        pushl   $0
        .endr
        pushl   $0x1000
        pushl   $0x20002
        pushl   $(RUNNER >> 4)
        pushl   $(refused - _start)
        iretl
refused:
        hlt                             # #GP(0) in virtual-8086 mode
flags_cleared:                          # from runner_fault
        movw    $RUNNER_DATA, %cx
        movw    %cx, %ds
        movw    %cx, %es
        movl    $RUNNER_STACK_TOP, %esp
collect:
        movl    $DATA, %esi
        movl    $DATA_SIZE / 128, %ecx
        xorl    %eax, %eax
        call    checksum
        movl    %eax, o_data
        xorl    %eax, %eax
        cmpl    $0, o_outside_ring0
        je      10f
        movl    $STACK, %esi
        movl    $STACK_SIZE / 128, %ecx
        call    checksum
10:     movl    %eax, o_stack
        xorl    %eax, %eax
        movl    $GDT, %esi
        movl    $0x2000 / 128, %ecx
        call    checksum
        movl    $TSS, %esi
        movl    $0x3000 / 128, %ecx
        call    checksum
        movl    %eax, o_tables

        movl    begin_number, %eax
        movl    %eax, o_number
        movl    $o_begin, %esi
        movl    $o_end - o_begin, %ecx
        movw    $0xe9, %dx
        rep outsb
        jmp     next

# EAX = rol(EAX, 5) ^ dword, over ECX times 128 bytes from ESI.
checksum:
        .set    offset, 0
        .rept   32
        roll    $5, %eax
        xorl    offset(%esi), %eax
        .set    offset, offset + 4
        .endr
        addl    $128, %esi
        decl    %ecx
        jnz     checksum
        ret

# The task of vector 8. The CPU has written the interrupted state to the TSS that the back link names.
double_fault:
        movl    $8, o_vector
        popl    o_error_code
        movl    $1, o_has_error_code
        movl    %cr0, %ebx
        movl    %ebx, o_cr0
        movl    %cr2, %ebx
        movl    %ebx, o_cr2
        movl    %cr3, %ebx
        movl    %ebx, o_cr3
        movl    %cr4, %ebx
        movl    %ebx, o_cr4
        sgdt    o_gdtr
        sidt    o_idtr
        movzwl  DOUBLE_FAULT_TSS_BASE, %eax
        movw    %ax, o_tr
        movl    o_gdtr + 2, %ebx
        addl    %eax, %ebx
        movl    2(%ebx), %esi           # the base in a descriptor: bits 0-23, 24-31
        andl    $0xffffff, %esi
        movl    4(%ebx), %ecx
        andl    $0xff000000, %ecx
        orl     %ecx, %esi
        .macro  from_tss field, offset
        movl    \offset(%esi), %eax
        movl    %eax, o_\field
        .endm
        .macro  selector_from_tss field, offset
        movl    \offset(%esi), %eax
        movw    %ax, o_\field
        .endm
        from_tss eip, 0x20
        from_tss eflags, 0x24
        from_tss eax, 0x28
        from_tss ecx, 0x2c
        from_tss edx, 0x30
        from_tss ebx, 0x34
        from_tss esp, 0x38
        from_tss ebp, 0x3c
        from_tss esi, 0x40
        from_tss edi, 0x44
        selector_from_tss es, 0x48
        selector_from_tss cs, 0x4c
        selector_from_tss ss, 0x50
        selector_from_tss ds, 0x54
        selector_from_tss fs, 0x58
        selector_from_tss gs, 0x5c
        selector_from_tss ldtr, 0x60    # what the task began with: the CPU does not save LDTR
        movl    $1, o_outside_ring0
        testl   $0x20000, o_eflags
        jnz     restore
        testb   $3, o_cs
        jnz     restore
        movl    $0, o_outside_ring0
        jmp     restore

# A fault of the runner itself: the CPU lacks something that the case asks for. The vector is on the stack.
runner_fault:
        cmpl    $13, %ss:(%esp)
        jne     12f
        testl   $0x20000, %ss:16(%esp)  # VM
        jnz     flags_cleared
12:     popl    o_vector
        movl    $SETUP_FAILED, o_has_error_code
        jmp     restore

finished:
        movl    $done, %esi
        movl    $8, %ecx
        movw    $0xe9, %dx
        rep outsb
        xorl    %eax, %eax
        movw    $0xf4, %dx              # QEMU: isa-debug-exit
        outl    %eax, %dx
        movl    $shutdown, %esi         # Bochs
        movl    $8, %ecx
        movw    $0x8900, %dx
        rep outsb
        cli
11:     hlt
        jmp     11b

# Data, on pages of their own: emulators look twice at a write to a page with code.
        .balign 0x1000
next_case:
        .long   0
flat_data:
        .long   RUNNER_DATA
with_error_code:                        # 8, 10-14, 17, 21
        .long   0x00227d00, 0, 0
mxcsr:  .long   0x1f80                  # as after reset
begin:  .ascii  "[BEG"
begin_number:
        .long   0
done:   .ascii  "[END"
        .long   0
shutdown:
        .ascii  "Shutdown"

        .balign 8
runner_gdt:
        .quad   0
        .quad   0x00cf9b000000ffff      # RUNNER_CODE
        .quad   0x00cf93000000ffff      # RUNNER_DATA
runner_tss:                             # of the double fault, for its SS0 and ESP0
        .word   104 - 1, DOUBLE_FAULT_TSS_BASE & 0xffff
        .byte   DOUBLE_FAULT_TSS_BASE >> 16, 0x89, 0, 0
runner_gdt_end:
        .balign 4
        .word   0
runner_gdtr:
        .word   runner_gdt_end - runner_gdt - 1
        .long   runner_gdt
        .word   0
runner_idtr:
        .word   32 * 8 - 1
        .long   runner_idt
        .word   0
case_gdtr:
        .word   GDT_LIMIT
        .long   GDT
        .word   0
case_idtr:
        .word   IDT_LIMIT
        .long   IDT

        .balign 4
double_fault_tss:
        .long   0, DOUBLE_FAULT_STACK_TOP, RUNNER_DATA, 0, 0, 0, 0
        .long   0                       # CR3: the case's
        .long   double_fault, 2
        .long   0, 0, 0, 0, DOUBLE_FAULT_STACK_TOP, 0, 0, 0
        .long   RUNNER_DATA, RUNNER_CODE, RUNNER_DATA, RUNNER_DATA, 0, 0
        .long   0, 0xffff0000

# The case that is running, as it is in the payload.
c_begin:        .long 0                 # size
                .long 0                 # number
c_kind:         .long 0                 # 0 ring 0, 1 outer ring, 2 virtual-8086 mode
c_eflags:       .long 0
c_eax:          .long 0
c_ecx:          .long 0
c_edx:          .long 0
c_ebx:          .long 0
c_ebp:          .long 0
c_esi:          .long 0
c_edi:          .long 0
c_esp:          .long 0                 # a far pointer, with the next
c_ss:           .long 0
c_eip:          .long 0                 # a far pointer, with the next
c_cs:           .long 0
c_ds:           .long 0
c_es:           .long 0
c_fs:           .long 0
c_gs:           .long 0
c_cr0:          .long 0
c_cr3:          .long 0
c_cr4:          .long 0
c_ldtr:         .long 0
c_efer:         .long 0
c_writes:       .long 0
c_end:

# The outcome as it is sent.
o_begin:        .ascii "[OUT"
o_number:       .long 0
o_vector:       .long 0
o_has_error_code: .long 0               # 0, 1 or SETUP_FAILED
o_error_code:   .long 0
o_eip:          .long 0
o_eflags:       .long 0
o_eax:          .long 0
o_ecx:          .long 0
o_edx:          .long 0
o_ebx:          .long 0
o_esp:          .long 0
o_ebp:          .long 0
o_esi:          .long 0
o_edi:          .long 0
o_cs:           .long 0
o_ss:           .long 0
o_ds:           .long 0
o_es:           .long 0
o_fs:           .long 0
o_gs:           .long 0
o_cr0:          .long 0
o_cr2:          .long 0
o_cr3:          .long 0
o_cr4:          .long 0
o_gdtr:         .long 0, 0              # limit in the first two bytes, base in the next four
o_idtr:         .long 0, 0
o_ldtr:         .long 0
o_tr:           .long 0
o_data:         .long 0
o_stack:        .long 0
o_tables:       .long 0
                .ascii "]OUT"
o_end:
o_outside_ring0: .long 0

# The runner's own IDT.
        .balign 8
runner_idt:
        .set    vector, 0
        .rept   32
        # RUNNER is a multiple of 0x10000, so that the halves of an address can be written down without a relocation.
        .word   (runner_handlers - _start) + 8 * vector
        .word   RUNNER_CODE
        .byte   0, 0x8e
        .word   RUNNER >> 16
        .set    vector, vector + 1
        .endr

        .balign 0x1000
runner_handlers:
        .set    vector, 0
        .rept   32
        .balign 8
        pushl   $vector
        jmp     runner_fault
        .set    vector, vector + 1
        .endr

# What the gates of a case's IDT point to.
        .org    HANDLERS - RUNNER
        .set    vector, 0
        .rept   0x50
        .org    HANDLERS - RUNNER + vector * HANDLER_SIZE
        movl    %eax, %dr0
        movl    %ds, %eax
        orl     $vector << 16, %eax
        jmp     handler
        .set    vector, vector + 1
        .endr
        .org    HANDLERS - RUNNER + 0x50 * HANDLER_SIZE
