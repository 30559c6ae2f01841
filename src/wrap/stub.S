/*
 * What `startup32 wrap` puts in front of a kernel to make a bzImage of it: a boot sector, setup code that goes to
 * protected mode, and 32-bit code that unpacks the kernel, places it and jumps to it. wrap.ts fills in the setup header,
 * the parameters and the segment table; layout.ts says where they are. stub.ts holds the bytes that this gives.
 *
 * Linux Documentation/x86/boot.rst.
 */
	.file	"stub.S"
	.include "linux.inc"

.set SECTOR, 512
.set SETUP_SIZE, 0x1000             /* the boot sector and seven more; the notes, if they are kept, come after it */

	.include "setup.S"
	.include "place.S"
	.include "inflate.S"
	.include "parameters.S"
