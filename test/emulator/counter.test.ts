import { describe, expect, it } from 'vitest';
import { type Block, makeBlock } from '../../emulator/blocks.ts';
import { InstructionCounter, TRAIL_LENGTH } from '../../emulator/counter.ts';

const NOP = 0x90;
/** jmp to itself: what it jumps to does not matter here, only that it is a branch. */
const JMP = [0xeb, 0xfe];
/** rep movsb */
const REP_MOVSB = [0xf3, 0xa4];

function block(start: number, bytes: number[], engineSize = bytes.length): Block {
  return makeBlock(start, engineSize, 32, () => Uint8Array.from(bytes));
}

describe('counting instructions', () => {
  it('counts a block when control leaves it', () => {
    const counter = new InstructionCounter();
    counter.enter(block(0x1000, [NOP, NOP, ...JMP]));
    expect(counter.retired).toBe(0);
    counter.enter(block(0x2000, [NOP, ...JMP]));
    expect(counter.retired).toBe(3);
    counter.leave(0x2001);
    expect(counter.retired).toBe(4);
  });

  it('counts none of a block that faults at its first instruction', () => {
    const counter = new InstructionCounter();
    counter.enter(block(0x1000, [NOP, ...JMP]));
    counter.leave(0x1000);
    expect(counter.retired).toBe(0);
  });

  it('counts a whole block that jumps to its own start', () => {
    const counter = new InstructionCounter();
    const loop = block(0x1000, [NOP, NOP, ...JMP]);
    counter.enter(loop);
    counter.enter(loop);
    counter.arrive(0x1000);
    expect(counter.retired).toBe(6);
    expect(counter.trail(0x1000)).toEqual([0x1000, 0x1000, 0x1000]);
  });

  it('counts a repeated string instruction once, when it is done', () => {
    const counter = new InstructionCounter();
    counter.enter(block(0x1000, [NOP, ...REP_MOVSB]));
    const again = block(0x1001, REP_MOVSB);
    counter.enter(again);
    counter.enter(again);
    expect(counter.retiredAt(0x1001)).toBe(1);
    counter.enter(block(0x1003, [NOP, ...JMP]));
    expect(counter.retired).toBe(2);
  });

  it('does not count a repeated string instruction that is left in the middle', () => {
    const counter = new InstructionCounter();
    counter.enter(block(0x1000, [NOP, ...REP_MOVSB]));
    counter.enter(block(0x1001, REP_MOVSB));
    counter.leave(0x1001);
    expect(counter.retired).toBe(1);
    counter.enter(block(0x1001, REP_MOVSB));
    counter.enter(block(0x1003, [NOP, ...JMP]));
    expect(counter.retired).toBe(2);
    counter.leave(0x1003);
    expect(counter.trail(0x1003)).toEqual([0x1000]);
  });

  it('does not show where an engine cuts straight-line code', () => {
    const cut = new InstructionCounter();
    cut.enter(block(0x1000, [NOP, NOP]));
    cut.enter(block(0x1002, [NOP, ...JMP]));
    cut.leave(0x1003);
    const whole = new InstructionCounter();
    whole.enter(block(0x1000, [NOP, NOP, NOP, ...JMP]));
    whole.leave(0x1003);
    expect(cut.retired).toBe(whole.retired);
    expect(cut.retired).toBe(3);
    expect(cut.trail(0x1003)).toEqual(whole.trail(0x1003));
  });

  it('learns from the next block where a block of unknown size was cut', () => {
    const counter = new InstructionCounter();
    counter.enter(block(0x1000, [NOP, NOP, NOP, ...JMP], 0));
    counter.enter(block(0x1002, [NOP, ...JMP]));
    expect(counter.retired).toBe(2);
  });

  it('goes on in the same block after an instruction that was done without the engine', () => {
    const counter = new InstructionCounter();
    counter.enter(block(0x1000, [NOP, NOP, NOP, ...JMP]));
    counter.leave(0x1001);
    counter.retireOne(0x1002);
    counter.enter(block(0x1002, [NOP, ...JMP]));
    counter.leave(0x1003);
    expect(counter.retired).toBe(3);
    expect(counter.trail(0x1003)).toEqual([0x1000]);
  });

  it('keeps the last blocks only', () => {
    const counter = new InstructionCounter();
    for (let i = 0; i < 1000; i++) counter.enter(block(0x1000 + 16 * i, [NOP, ...JMP]));
    const trail = counter.trail(0x1000 + 16 * 999);
    counter.leave(0x1000 + 16 * 999);
    expect(trail).toHaveLength(TRAIL_LENGTH);
    expect(counter.trail(0x1000 + 16 * 999).at(-1)).toBe(0x1000 + 16 * 999);
  });
});
