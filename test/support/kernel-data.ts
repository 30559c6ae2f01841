/** Bytes like those of a kernel, the same at every run: code with calls, tables of pointers, text, zeros. */

/** mulberry32: 32 bits of state are enough for data to compress. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

const WORDS = ['startup', 'kernel', 'page', 'fault', 'init', 'paravirt', 'printk', 'early', 'boot', 'ring'];
const OPCODES = [0x55, 0x89, 0xe5, 0x8b, 0x83, 0xc7, 0x50, 0x53, 0x5d, 0xc3, 0x74, 0x0f, 0x85, 0xc0];

/** A function: some instructions, calls of functions near by, a return. */
function addCode(out: Uint8Array, start: number, end: number, next: () => number): void {
  const view = new DataView(out.buffer, out.byteOffset);
  for (let at = start; at < end; ) {
    const dice = next();
    if (dice % 5 === 0 && at + 5 <= end) {
      out[at] = dice & 0x100 ? 0xe8 : 0xe9;
      const target = (next() % 64) * 0x400;
      view.setInt32(at + 1, target - (at + 5), true);
      at += 5;
    } else {
      out[at++] = OPCODES[next() % OPCODES.length] ?? 0x90;
    }
  }
}

function addText(out: Uint8Array, start: number, end: number, next: () => number): void {
  for (let at = start; at < end; ) {
    const text = `${WORDS[next() % WORDS.length]}_${next() % 100}\0`;
    for (let index = 0; index < text.length && at < end; index++) out[at++] = text.charCodeAt(index);
  }
}

function addPointers(out: Uint8Array, start: number, end: number, next: () => number): void {
  const view = new DataView(out.buffer, out.byteOffset);
  for (let at = start; at + 4 <= end; at += 4) view.setUint32(at, 0xc1000000 + (next() % 0x4000) * 16, true);
}

/** Opcodes of calls next to each other and bytes that look like the top of a target: what the x86 filter stumbles over. */
function addTraps(out: Uint8Array, start: number, end: number, next: () => number): void {
  const bytes = [0xe8, 0xe9, 0xe8, 0xe9, 0x00, 0xff, 0x00, 0xff];
  for (let at = start; at < end; at++) {
    const dice = next();
    out[at] = dice & 0x8000_0000 ? (bytes[dice & 7] ?? 0) : dice & 0xff;
  }
}

const PART = 0x3000;

export function kernelLike(size: number, seed = 1): Uint8Array {
  const out = new Uint8Array(size);
  const next = random(seed);
  const parts = [addCode, addCode, addCode, addText, addPointers, addTraps, undefined];
  for (let start = 0, part = 0; start < size; start += PART, part++) {
    parts[part % parts.length]?.(out, start, Math.min(start + PART, size), next);
  }
  return out;
}
