# Boot sector: reads the runner to RUNNER and the payload (arena template and cases) to PAYLOAD with the BIOS's extended
# disk reads (int 0x13, AH=0x42), chunk by chunk through a buffer in low memory, and starts the runner in protected mode.
# The constants come from build.ts with --defsym.

        .code16
        .text
        .globl  _start
_start:
        cli
        cld
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        movb    %dl, drive
        sti
        movw    $0x2401, %ax            # A20 on, for the BIOS that knows how
        int     $0x15
        inb     $0x92, %al              # and for the chipset that has port 0x92
        orb     $2, %al
        andb    $0xfe, %al
        outb    %al, $0x92

        # The runner comes first, then the payload.
        movl    $RUNNER, target
        movl    runner_sectors, %ebx
        call    load
        movl    $PAYLOAD, target
        movl    payload_sectors, %ebx
        call    load

        cli
        lgdt    gdtr
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $RUNNER_CODE, $RUNNER

# EBX sectors from the current place on the disk to `target`.
load:
        movl    $CHUNK_SECTORS, %eax
        cmpl    %eax, %ebx
        jae     1f
        movl    %ebx, %eax
1:      movw    %ax, packet_count
        movb    $0x42, %ah
        movb    drive, %dl
        movw    $packet, %si
        int     $0x13
        jc      failed

        # Into protected mode and back: the BIOS may have taken the limits of the last time away.
        cli
        lgdt    gdtr
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        jmp     2f
2:      movw    $RUNNER_DATA, %cx
        movw    %cx, %ds
        movw    %cx, %es
        movl    $BOUNCE, %esi
        movl    target, %edi
        movl    $CHUNK_SECTORS * 512 / 4, %ecx
        addr32 rep movsl
        decb    %al
        movl    %eax, %cr0
        jmp     3f
3:      xorw    %cx, %cx
        movw    %cx, %ds
        movw    %cx, %es
        movl    %edi, target
        sti
        movzwl  packet_count, %eax
        addl    %eax, packet_lba
        subl    %eax, %ebx
        jnz     load
        ret

failed: movb    $'!', %al               # the driver sees that nothing began
        outb    %al, $0xe9
        cli
        hlt

        .balign 4
target: .long   0
drive:  .byte   0

        .balign 8
gdt:    .quad   0
        .quad   0x00cf9b000000ffff      # RUNNER_CODE
        .quad   0x00cf93000000ffff      # RUNNER_DATA
gdtr:   .word   gdtr - gdt - 1
        .long   gdt

        .balign 4
packet: .byte   16, 0                   # disk address packet
packet_count:
        .word   0
        .word   0, BOUNCE >> 4          # offset, segment
packet_lba:
        .long   1, 0

        # Filled in by build.ts.
        .org    0x1f0
runner_sectors:
        .long   0
payload_sectors:
        .long   0
        .org    0x1fe
        .word   0xaa55
