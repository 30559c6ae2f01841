/*
 * What the 32-bit code notes before it moves, and what wrap.ts fills in: the last bytes of the stub. The segment table follows, then the payload.
 * layout.ts has the same order.
 */

.set KIND_ELF, 0
.set KIND_GZIP, 1                   /* any other: it cannot be unpacked here */

	.balign	4
displacement:
	.long	0                       /* runtime start - link_start */
	.skip	12                      /* three registers, until there is a stack */
saved_end:

parameters:
kind:
	.long	0
relocatable:
	.long	0
alignment:
	.long	0                       /* a power of 2 */
link_start:
	.long	0                       /* the lowest p_paddr */
workspace:
	.long	0                       /* from the runtime start to the copy of us */
image_size:
	.long	0                       /* of all that is moved; a multiple of 4 */
payload:
	.long	0                       /* offsets from startup_32 */
deflate:
	.long	0
payload_end:
	.long	0
entry:
	.long	0                       /* physical, as linked */
relocation_count:
	.long	0
virtual_offset:
	.long	0                       /* p_vaddr - p_paddr */
message:
	.long	cannot_decode_message - startup_32
segment_count:
	.long	0
segments:
