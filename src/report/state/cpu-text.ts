/** The CPU's part of a state's text: registers, segments, control registers. */
import { GENERAL_REGISTERS } from '../../../emulator/cpu-state.ts';
import { SEGMENT_NAMES } from '../../../emulator/segmentation.ts';
import { printable } from '../../printable.ts';
import { bare } from '../hex.ts';
import type { Style } from '../style.ts';
import { type Row, table } from '../table.ts';
import type { StateBits, StateRegister, StateReport, StateSegment, StateTable } from './report.ts';

export const promisedInWords = (promised: boolean): string => (promised ? 'promised' : 'unspecified');

export function registersText(report: StateReport, style: Style): string[] {
  const rows = GENERAL_REGISTERS.map(name => registerRow(name, report.registers[name]));
  const { eip, eflags } = report;
  return [
    style.strong('registers'),
    ...table(
      [
        ...rows,
        { cells: ['EIP', bare(eip.value), promisedInWords(true), printable(eip.symbol ?? '')] },
        { cells: ['EFL', bare(eflags.value), promisedInWords(true), flagsInWords(eflags)] },
      ],
      { style },
    ),
  ];
}

const registerRow = (name: string, { value, promised, meaning }: StateRegister): Row => ({
  cells: [name.toUpperCase(), bare(value), promisedInWords(promised), printable(meaning ?? '')],
  faint: !promised,
});

export const flagsInWords = ({ set, iopl }: StateReport['eflags']): string =>
  [`IOPL ${iopl}`, ...(set.length === 0 ? ['no flag set'] : [set.join(' ')])].join(', ');

/** `data, writable, accessed, 32-bit`. */
export function segmentInWords({ descriptor: d, type = '' }: StateSegment): string {
  if (!d) return 'null';
  const size = /^(CS|DS)(\d*)$/.exec(d.kind);
  const words = [type, ...(size ? [`${size[2] === '' ? '32' : size[2]}-bit`] : [])];
  return [...words, ...(d.present ? [] : ['not present'])].join(', ');
}

function segmentRow(name: string, segment: StateSegment): Row {
  const { selector, descriptor: d, promised } = segment;
  return {
    cells: [
      name.toUpperCase(),
      bare(selector),
      ...(d ? [bare(d.base), bare(d.limit), String(d.dpl)] : ['', '', '']),
      promisedInWords(promised ?? true),
      segmentInWords(segment),
    ],
    faint: promised === false,
  };
}

/** Whole entries of 8 bytes within the limit. */
export const tableInWords = ({ base, limit }: StateTable): string => {
  const bytes = Number(limit) + 1;
  return Number(base) === 0 && bytes === 1 ? 'none' : `${Math.floor(bytes / 8)} entries`;
};

export function segmentsText(report: StateReport, style: Style): string[] {
  const { segments, ldtr, tr, gdtr, idtr } = report;
  const tableRow = (name: string, register: StateTable): Row => ({
    cells: [name, '', bare(register.base), bare(register.limit), '', 'promised', tableInWords(register)],
  });
  return [
    style.strong('segments'),
    ...table(
      [
        ...SEGMENT_NAMES.map(name => segmentRow(name, segments[name])),
        segmentRow('LDT', ldtr),
        segmentRow('TR', tr),
        tableRow('GDT', gdtr),
        tableRow('IDT', idtr),
      ],
      { heading: ['', 'sel', 'base', 'limit', 'DPL', '', 'type'], style },
    ),
  ];
}

export function controlText({ control }: StateReport, style: Style): string[] {
  const row = (name: string, { value, set }: StateBits): Row => ({
    cells: [name, bare(value), set.join(' ')],
  });
  const { cr0, cr2, cr3, cr4, efer } = control;
  return [
    style.strong('control registers'),
    ...table([row('CR0', cr0), row('CR2', cr2), row('CR3', cr3), row('CR4', cr4), row('EFER', efer)], {
      style,
    }),
  ];
}
