import { describe, expect, it } from 'vitest';
import { wrap } from '../../../src/report/lines.ts';
import { stopReport } from '../../../src/report/stop/json.ts';
import { textReport } from '../../../src/report/stop/text.ts';
import { ALL_STOPS, context, STOPS } from '../../support/stops.ts';

const cli = stopReport(STOPS['iopl-sensitive-instruction'], context);

it('is the report of docs/how-to-read-a-trap.md', () => {
  expect(textReport(cli)).toBe(`\
#GP(0) at startup_32+0x1 (0x00100001): cli needs CPL <= IOPL; under lguest CPL is 1 and IOPL 0

trap v=0d e=0000 cpl=1 iopl=0 IP=0061:00100001 pc=00100001 SP=0069:00000000   instruction 2

   00100000:  fc                    cld
=> 00100001:  fa                    cli
   00100002:  0f 01 15 20 01 10 00  lgdtl  0x100120
   00100009:  8e d8                 mov    %eax,%ds
   Code: fc <fa> 0f 01 15 20 01 10 00 8e d8

why    CLI needs CPL <= IOPL; here CPL is 1 and IOPL is 0. Result: #GP(0). Code that can mask
       interrupts can keep the CPU for itself. (SDM vol. 2, CLI; vol. 1, 19.5.1)
means  lguest skips cli and goes on. (Linux 4.13 drivers/lguest/x86/core.c)
next   start the kernel as --as pc
       build it with CONFIG_LGUEST_GUEST=y

EAX=dead0000 EBX=dead0003 ECX=dead0001 EDX=dead0002
ESI=00000000 EDI=dead0007 EBP=dead0006 ESP=00000000
EIP=00100001 EFL=00000002 [-------] CPL=1 II=0 A20=1 SMM=0 HLT=0
ES =0069 00000000 ffffffff 00cfb300 DPL=1 DS   [-WA]
CS =0061 00000000 ffffffff 00cfbb00 DPL=1 CS32 [-RA]
SS =0069 00000000 ffffffff 00cfb300 DPL=1 DS   [-WA]
DS =0069 00000000 ffffffff 00cfb300 DPL=1 DS   [-WA]
FS =0000 00000000 00000000 00000000
GS =0000 00000000 00000000 00000000
LDT=0000 00000000 0000ffff 00008200 DPL=0 LDT
TR =0000 00000000 0000ffff 00008b00 DPL=0 TSS32-busy
GDT=     03fff000 0000007f
IDT=     00000000 00000000
CR0=80000011 CR2=00000000 CR3=03ffe000 CR4=00000000
EFER=0000000000000000

engine unicorn.js 1.0.3, CPU model pentium3
image  kernel.elf (elf, 4112 bytes)
sha256 abababababababababababababababababababababababababababababababab
as     lguest memory=64M keep-segments=1
repeat startup32 run kernel.elf --as lguest
`);
});

it('is made from the JSON alone', () => {
  for (const stop of ALL_STOPS) {
    const report = stopReport(stop, context);
    expect(textReport(JSON.parse(JSON.stringify(report)))).toBe(textReport(report));
  }
});

describe('the record line', () => {
  const record = (kind: keyof typeof STOPS): string | undefined =>
    textReport(stopReport(STOPS[kind], context)).split('\n')[2];

  it('has CR2 for a page fault', () => {
    expect(record('page-fault')).toBe(
      'trap v=0e e=0002 cpl=1 iopl=0 IP=0061:00100001 pc=00100001 SP=0069:00000000 CR2=00101300   instruction 2',
    );
  });

  it('says stop where there is no exception', () => {
    expect(record('popf')).toMatch(/^stop cpl=1 iopl=0 /);
  });

  it('says when the instruction count is a lower bound', () => {
    expect(record('timeout')).toMatch(/ {3}instruction >= 2$/);
  });
});

it('colours only when asked, and adds nothing but colour', () => {
  const coloured = textReport(cli, { color: true });
  expect(coloured).toContain('\u001b[1m#GP(0)');
  const plain = coloured
    .split('\u001b')
    .map((part, index) => (index === 0 ? part : part.replace(/^\[\d+m/, '')));
  expect(plain.join('')).toBe(textReport(cli));
  expect(textReport(cli)).not.toContain('\u001b');
});

it('shows the last blocks by name, and that there were more', () => {
  const trail = Array.from({ length: 10 }, (_, index) => 0x100000 + index);
  const text = textReport(stopReport({ ...STOPS.halt, trail }, context));
  expect(text).toContain('trail  … startup_32+0x2 > startup_32+0x3 > ');
});

it('shows serial output, and no control character of the guest reaches the terminal', () => {
  const serial = new TextEncoder().encode('Linux\r\n\u001b[31mred\n');
  const text = textReport(stopReport(STOPS.halt, { ...context, serial }));
  expect(text).toContain('serial\n| Linux\n| \\x1b[31mred\n');
});

it('shows warnings about the image', () => {
  const warned = {
    ...context,
    image: { ...context.image, warnings: [{ code: 'x', message: 'no symbols' }] },
  };
  expect(textReport(stopReport(STOPS.halt, warned))).toMatch(/^note {3}no symbols$/m);
});

it('wraps at spaces and leaves a word that is too long whole', () => {
  expect(wrap('aa bb cc', 5)).toEqual(['aa bb', 'cc']);
  expect(wrap('a longword b', 4)).toEqual(['a', 'longword', 'b']);
});
