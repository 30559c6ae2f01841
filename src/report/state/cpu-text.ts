/** The CPU's part of a state's text: registers, segments, control registers. */
import { GENERAL_REGISTERS } from '../../../emulator/cpu-state.ts';
import { FLAG_IOPL } from '../../../emulator/flags.ts';
import { type BitNames, CR0_BITS, CR4_BITS } from '../../../emulator/operands/bits.ts';
import { SEGMENT_NAMES } from '../../../emulator/segmentation.ts';
import { printable } from '../../printable.ts';
import { bare } from '../hex.ts';
import type { Style } from '../style.ts';
import { type Row, table } from '../table.ts';
import { EFER_BITS, EFLAGS_BITS } from './bits.ts';
import type { StateBits, StateRegister, StateReport, StateSegment, StateTable } from './report.ts';

const promisedInWords = (promised: boolean): string => (promised ? 'promised' : 'unspecified');

const EVERY_BIT = 0xffff_ffff;

/** `promised`, `in part`, `unspecified`. */
function promisedBits({ promised }: StateBits): string {
  const mask = Number(promised);
  return mask === 0 || mask === EVERY_BIT ? promisedInWords(mask !== 0) : 'in part';
}

/** What a register holds, and of one that is promised in part the bits that are: `PE ET; promised PE=1 PG=0`. */
export function withPromisedBits(words: string, { value, promised }: StateBits, names: BitNames): string {
  const [bits, mask] = [Number(value), Number(promised)];
  if (mask === 0 || mask === EVERY_BIT) return words;
  const shown = Object.entries(names)
    .filter(([bit]) => ((mask >>> Number(bit)) & 1) === 1)
    .map(([bit, name]) => `${name}=${(bits >>> Number(bit)) & 1}`);
  return `${words === '' ? '' : `${words}; `}promised ${shown.join(' ')}`;
}

export function registersText(report: StateReport, style: Style): string[] {
  const rows = GENERAL_REGISTERS.map(name => registerRow(name, report.registers[name]));
  const { eip, eflags } = report;
  return [
    style.strong('registers'),
    ...table(
      [
        ...rows,
        { cells: ['EIP', bare(eip.value), promisedInWords(true), printable(eip.symbol ?? '')] },
        {
          cells: ['EFL', bare(eflags.value), promisedBits(eflags), flagsInWords(eflags)],
          faint: Number(eflags.promised) === 0,
        },
      ],
      { style },
    ),
  ];
}

const registerRow = (name: string, { value, promised, meaning }: StateRegister): Row => ({
  cells: [name.toUpperCase(), bare(value), promisedInWords(promised), printable(meaning ?? '')],
  faint: !promised,
});

export function flagsInWords(eflags: StateReport['eflags']): string {
  const { set, iopl } = eflags;
  const words = [`IOPL ${iopl}`, ...(set.length === 0 ? ['no flag set'] : [set.join(' ')])].join(', ');
  const promised = withPromisedBits(words, eflags, EFLAGS_BITS);
  return promised !== words && (Number(eflags.promised) & FLAG_IOPL) !== 0
    ? `${promised} IOPL=${iopl}`
    : promised;
}

/** `data, writable, accessed, 32-bit`. */
export function segmentInWords({ descriptor: d, type = '' }: StateSegment): string {
  if (!d) return 'null';
  const size = /^(CS|DS)(\d*)$/.exec(d.kind);
  const words = [type, ...(size ? [`${size[2] === '' ? '32' : size[2]}-bit`] : [])];
  return [...words, ...(d.present ? [] : ['not present'])].join(', ');
}

function segmentRow(name: string, segment: StateSegment): Row {
  const { selector, descriptor: d, promised, selectorPromised } = segment;
  return {
    cells: [
      name.toUpperCase(),
      bare(selector),
      ...(d ? [bare(d.base), bare(d.limit), String(d.dpl)] : ['', '', '']),
      promised && !selectorPromised ? 'hidden part' : promisedInWords(promised),
      segmentInWords(segment),
    ],
    faint: !promised,
  };
}

/** `descriptors`: those of the promised selectors are there, wherever the table is. */
const tablePromise = ({ promised, descriptorsPromised = false }: StateTable): string =>
  !promised && descriptorsPromised ? 'descriptors' : promisedInWords(promised);

/** Whole entries of 8 bytes within the limit. */
export const tableInWords = ({ base, limit }: StateTable): string => {
  const bytes = Number(limit) + 1;
  return Number(base) === 0 && bytes === 1 ? 'none' : `${Math.floor(bytes / 8)} entries`;
};

export function segmentsText(report: StateReport, style: Style): string[] {
  const { segments, ldtr, tr, gdtr, idtr } = report;
  const tableRow = (name: string, register: StateTable): Row => ({
    cells: [
      ...[name, '', bare(register.base), bare(register.limit), ''],
      tablePromise(register),
      tableInWords(register),
    ],
    faint: !register.promised && register.descriptorsPromised !== true,
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
  const row = (name: string, register: StateBits, names: BitNames): Row => ({
    cells: [
      name,
      bare(register.value),
      promisedBits(register),
      withPromisedBits(register.set.join(' '), register, names),
    ],
    faint: Number(register.promised) === 0,
  });
  const { cr0, cr2, cr3, cr4, efer } = control;
  return [
    style.strong('control registers'),
    ...table(
      [
        row('CR0', cr0, CR0_BITS),
        row('CR2', cr2, {}),
        row('CR3', cr3, {}),
        row('CR4', cr4, CR4_BITS),
        row('EFER', efer, EFER_BITS),
      ],
      { style },
    ),
  ];
}
