/** The report of an EntryState. What it has to say is worked out from the bytes of the state, and from the manuals. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { ALL_BITS, type EntryState, type StructureField } from '../../../emulator/entry-state.ts';
import { stateReport } from '../../../src/report/state/json.ts';
import { stateText } from '../../../src/report/state/text.ts';
import { vmlinux } from '../../boot-protocols/images.ts';
import { DATA, guestEntry, mapping } from '../../support/guest.ts';

/** `DATA` counts up from 0: the byte at offset n of the structure is n. */
const STRUCTURE_FIELDS: readonly StructureField[] = [
  { name: 'flags', offset: 0, size: 1, as: 'number', by: 'zero' },
  { name: 'version', offset: 2, size: 2, as: 'number', by: 'image', meaning: '3.2' },
  { name: 'size', offset: 8, size: 8, as: 'number', by: 'loader', citation: 'a header, line 1' },
  { name: 'name', offset: 0x41, size: 3, as: 'text', by: 'loader', meaning: 'who it is' },
  { name: 'raw', offset: 0xa, size: 3, as: 'bytes', by: 'loader' },
  { name: 'map[0].addr', offset: 0x10, size: 4, as: 'number', by: 'loader', citation: 'a header, line 1' },
  { name: 'map[0].type', offset: 0x14, size: 1, as: 'number', by: 'loader', meaning: 'RAM' },
  { name: 'map[1].addr', offset: 0x110, size: 4, as: 'number', by: 'zero' },
  { name: 'map[1].type', offset: 0x114, size: 1, as: 'number', by: 'zero' },
];

const withStructure = (entry: EntryState): EntryState => ({
  ...entry,
  structures: [{ name: 'info', address: DATA, size: 0x200, citation: 'a header', fields: STRUCTURE_FIELDS }],
});

const image = vmlinux();
const ALL = '0xffffffff';
const reportOf = (entry: EntryState) => stateReport(entry, image);

describe('the report', () => {
  it('has every register with what the protocol says of it', () => {
    const { registers } = reportOf(guestEntry({ code: 'f4', registers: { esi: 0x9000 } }));
    expect(registers.esi).toEqual({ value: '0x00009000', promised: true });
    expect(registers.eax).toEqual({ value: '0xdead0000', promised: false });
    expect(Object.keys(registers)).toEqual(['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi']);
  });

  it('names the bits of EFLAGS and of the control registers', () => {
    // SDM vol. 1, figure 3-8: bit 9 IF, bits 13:12 IOPL, bit 17 VM. Bit 1 is always set.
    const { eflags, control } = reportOf(guestEntry({ code: 'f4', eflags: 0x23202, paging: 'pae' }));
    expect(eflags).toEqual({ value: '0x00023202', set: ['IF', 'VM'], promised: ALL, iopl: 3 });
    // SDM vol. 3, 2.5: CR0.PE is bit 0, ET 4, PG 31; CR4.PAE is bit 5.
    expect(control.cr0).toEqual({ value: '0x80000011', set: ['PE', 'ET', 'PG'], promised: ALL });
    expect(control.cr4).toEqual({ value: '0x00000020', set: ['PAE'], promised: ALL });
  });

  it('decodes descriptors, and knows the null selector', () => {
    const { segments, ldtr } = reportOf(guestEntry({ code: 'f4', ring: 1 }));
    expect(segments.cs).toMatchObject({
      selector: '0x0009',
      promised: true,
      type: 'code, readable, accessed',
      descriptor: { base: '0x00000000', limit: '0xffffffff', dpl: 1, kind: 'CS32' },
    });
    expect(ldtr).toEqual({ selector: '0x0000', promised: true, selectorPromised: true });
  });

  it.each([
    // One page directory, and a page table for each 4 MiB that is mapped: SDM vol. 3, 4.3.
    ['32-bit', 3],
    // A PDPT, a page directory for each GiB, a page table for each 2 MiB: SDM vol. 3, 4.4.
    ['pae', 5],
  ] as const)('counts the pages of %s tables', (paging, pages) => {
    const mappings = [mapping(0xc0000000, 0, 0x1000), mapping(0, 0, 0x2000)];
    const report = reportOf(guestEntry({ code: 'f4', paging, mappings }));
    expect(report.paging.tablePages).toBe(pages);
    expect(report.paging.mappings.map(({ linear, physical, size }) => [linear, physical, size])).toEqual([
      ['0x00000000', '0x00000000', 0x2000],
      ['0xc0000000', '0x00000000', 0x1000],
    ]);
  });

  it('hashes the contents of a region as they are given', () => {
    const { memory } = reportOf(guestEntry({ code: 'fa f4' }));
    expect(memory.regions.find(region => region.name === 'code')).toEqual({
      name: 'code',
      start: '0x00001000',
      size: 2,
      owner: 'kernel',
      defined: true,
      guarded: false,
      contents: { size: 2, sha256: createHash('sha256').update(Uint8Array.of(0xfa, 0xf4)).digest('hex') },
    });
  });

  it('reads the fields of a structure from memory', () => {
    const [info] = reportOf(withStructure(guestEntry({ code: 'f4' }))).structures;
    expect(info?.fields.map(({ name, value }) => [name, value])).toEqual([
      ['flags', '0x00'],
      ['version', '0x0302'],
      ['size', '0x0f0e0d0c0b0a0908'],
      ['name', 'ABC'],
      ['raw', '0a 0b 0c'],
      ['map[0].addr', '0x13121110'],
      ['map[0].type', '0x14'],
      // Behind the 256 bytes of contents the page is zero.
      ['map[1].addr', '0x00000000'],
      ['map[1].type', '0x00'],
    ]);
  });

  it('reads poison where a structure reaches past what is defined, if poison is asked for', () => {
    const entry = guestEntry({ code: 'f4', poison: true });
    const structure = {
      name: 'info',
      address: DATA + 0xfff,
      size: 2,
      citation: 'a header',
      fields: [{ name: 'both', offset: 0, size: 2, as: 'bytes', by: 'loader' }] as const,
    };
    const [info] = reportOf({ ...entry, structures: [structure] }).structures;
    expect(info?.fields[0]?.value).toBe('00 cc');
  });

  it('is plain JSON', () => {
    const report = reportOf(withStructure(guestEntry({ code: 'f4', paging: '32-bit' })));
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });
});

describe('the text', () => {
  const entry = withStructure(guestEntry({ code: 'f4', registers: { esi: DATA }, eflags: 0x202 }));
  const text = stateText(reportOf(entry));

  it('says of each register what is promised', () => {
    expect(text).toMatch(/^ {2}EAX {2}dead0000 {2}unspecified$/m);
    expect(text).toMatch(/^ {2}ESI {2}00009000 {2}promised$/m);
    expect(text).toMatch(/^ {2}EFL {2}00000202 {2}promised {5}IOPL 0, IF$/m);
  });

  it('says what a protocol promises of tables, selectors and bits', () => {
    const state = guestEntry({ code: 'f4', eflags: 0x246 });
    const promises = {
      ...{ selectors: false, gdt: true, gdtr: false, idtr: false, ldtr: false, tr: true },
      ...{ eflags: 0x3200, cr0: 0x80000001, cr2: 0, cr3: ALL_BITS, cr4: 0, efer: 0 },
    };
    const report = reportOf({ ...state, promises });
    expect(report.gdtr).toMatchObject({ promised: false, descriptorsPromised: true });
    expect(report.idtr.promised).toBe(false);
    expect(report.ldtr).toMatchObject({ promised: false, selectorPromised: false });
    expect(report.control.cr0.promised).toBe('0x80000001');
    const text = stateText(report);
    expect(text).toMatch(/^ {2}EFL {2}00000246 {2}in part {6}IOPL 0, PF ZF IF; promised IF=1 IOPL=0$/m);
    expect(text).toMatch(/^ {2}CS {3}0008 .* hidden part {2}code/m);
    expect(text).toMatch(/^ {2}LDT .* unspecified {2}null$/m);
    expect(text).toMatch(/^ {2}TR .* hidden part /m);
    expect(text).toMatch(/^ {2}GDT .* descriptors /m);
    expect(text).toMatch(/^ {2}IDT .* unspecified {2}/m);
    expect(text).toMatch(/^ {2}CR0 {3}00000011 {2}in part {6}PE ET; promised PE=1 PG=0$/m);
    expect(text).toMatch(/^ {2}CR3 {3}00000000 {2}promised$/m);
  });

  it('has banks, holes between them and regions in address order', () => {
    const lines = text.split('\n');
    const memory = lines.slice(
      lines.findIndex(line => line.startsWith('memory')),
      lines.findIndex(line => line.startsWith('info at')),
    );
    expect(memory.slice(2, -1)).toEqual([
      '  00000000-000fffff    1M    RAM                       RAM',
      '    00001000-00001000  1     kernel  defined             code',
      '    00008000-00008fff  4K    loader  defined, guarded    GDT',
      '    00009000-00009fff  4K    kernel  defined             data',
      '  00100000-001fffff    1M    hole',
      '  00200000-0020ffff    64K   ROM                       ROM',
    ]);
  });

  it('has a line for each field that someone wrote, and one for an entry of an array', () => {
    const lines = text.slice(text.indexOf('info at')).split('\n\n')[0]?.split('\n');
    expect(lines).toEqual([
      'info at 0x00009000, 512 bytes',
      '  a header',
      '  0x2   version  0x0302                      image   3.2',
      '  0x8   size     0x0f0e0d0c0b0a0908          loader  [1]',
      '  0x41  name     "ABC"                       loader  who it is',
      '  0xa   raw      0a 0b 0c                    loader',
      '  0x10  map[0]   addr 0x13121110, type 0x14  loader  RAM [1]',
      '  … 3 fields are zero',
      '  [1]  a header, line 1',
    ]);
  });

  it('shows the fields that are zero when it is asked for all', () => {
    const all = stateText(reportOf(entry), { all: true });
    expect(all).toMatch(/^ {2}0x110 +map\[1\] +addr 0x0, type 0x0 +zero$/m);
    expect(all).not.toContain('fields are zero');
  });

  it('escapes what would act on a terminal', () => {
    const odd = { ...entry, regions: entry.regions.map(region => ({ ...region, name: 'a\u001b[31m' })) };
    expect(stateText(reportOf(odd))).toContain('a\\x1b[31m');
    expect(stateText(reportOf(odd))).not.toContain('\u001b');
  });

  it('repeats in colour what it says without', () => {
    const coloured = stateText(reportOf(entry), { color: true });
    expect(coloured).toContain('\u001b[1mregisters\u001b[22m');
    const plain = ['1m', '22m', '2m'].reduce((left, code) => left.replaceAll(`\u001b[${code}`, ''), coloured);
    expect(plain).toBe(text);
  });
});
