/** Expected lines: GNU objdump 2.40, `objdump -D -b binary -m i386 --adjust-vma=0x100000`. */
import { describe, expect, it } from 'vitest';
import { disassemble, listing } from '../../src/report/disassemble.ts';
import { BASE, bytes, CODE } from '../support/stops.ts';

const att = (hex: string): string | undefined => disassemble(bytes(hex), BASE, 'att')[0]?.text;

describe('AT&T syntax is that of GNU objdump', () => {
  it.each([
    ['fc', 'cld'],
    ['0f 01 15 20 01 10 00', 'lgdtl  0x100120'],
    ['0f 01 1d 30 00 10 00', 'lidtl  0x100030'],
    ['8e d8', 'mov    %eax,%ds'],
    ['f6 86 11 02 00 00 40', 'testb  $0x40,0x211(%esi)'],
    ['75 10', 'jne    0x100012'],
    ['ea 00 00 10 c0 10 00', 'ljmp   $0x10,$0xc0100000'],
    ['89 44 24 04', 'mov    %eax,0x4(%esp)'],
    ['c7 05 00 00 00 00 05 00 00 00', 'movl   $0x5,0x0'],
    ['0f 22 c0', 'mov    %eax,%cr0'],
    ['cd 82', 'int    $0x82'],
    ['9d', 'popf'],
    ['66 9d', 'popfw'],
    ['cf', 'iret'],
    ['ec', 'in     (%dx),%al'],
    ['ee', 'out    %al,(%dx)'],
    ['e4 60', 'in     $0x60,%al'],
    ['0f 01 c1', 'vmcall'],
    ['f4', 'hlt'],
    ['65 a1 14 00 00 00', 'mov    %gs:0x14,%eax'],
    ['0f b2 25 00 00 10 00', 'lss    0x100000,%esp'],
    ['ff e0', 'jmp    *%eax'],
    ['0f 06', 'clts'],
    ['c3', 'ret'],
  ])('%s is %s', (hex, text) => {
    expect(att(hex)).toBe(text);
  });
});

it('knows Intel syntax', () => {
  expect(disassemble(bytes('f6 86 11 02 00 00 40'), BASE, 'intel')[0]?.text).toBe(
    'test   byte ptr [esi+0x211],0x40',
  );
});

it('shows bytes that are no instruction one by one, and goes on behind them', () => {
  // 0f 04 is no opcode; 04 fa is add $0xfa,%al.
  expect(disassemble(bytes('0f 04 fa fa'), BASE, 'att').map(line => line.text)).toEqual([
    '(bad)',
    'add    $0xfa,%al',
    'cli',
  ]);
});

describe('the listing', () => {
  const texts = (address: number, start = BASE): string[] =>
    listing(CODE, start, address, 'att').map(line => `${line.current ? '=>' : '  '} ${line.text}`);

  it('has what is before the instruction in its block, the instruction, and two after it', () => {
    expect(texts(BASE + 1)).toEqual(['   cld', '=> cli', '   lgdtl  0x100120', '   mov    $0x18,%eax']);
  });

  it('has at most four before it', () => {
    const sixNops = bytes('90 90 90 90 90 90 f4');
    expect(listing(sixNops, BASE, BASE + 6, 'att').map(line => line.text)).toEqual([
      'nop',
      'nop',
      'nop',
      'nop',
      'hlt',
    ]);
  });

  it('starts at the instruction when the guest jumped into the middle of another', () => {
    // From 0x100002 lgdtl would be decoded; the guest is at 0x100004, inside it: 15 20 01 10 00 is adc $0x100120,%eax.
    expect(listing(CODE.subarray(2), BASE + 2, BASE + 4, 'att')[0]).toMatchObject({
      address: BASE + 4,
      text: 'adc    $0x100120,%eax',
      current: true,
    });
  });

  it('leaves out a last instruction that memory cuts off', () => {
    expect(listing(bytes('fa 0f 01'), BASE, BASE, 'att').map(line => line.text)).toEqual(['cli']);
  });

  it('works at the top of the address space', () => {
    expect(listing(bytes('90 f4'), 0xfffffffe, 0xffffffff, 'att').map(line => line.address)).toEqual([
      0xfffffffe, 0xffffffff,
    ]);
  });
});
