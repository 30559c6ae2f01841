/** What a silent instruction gives, in words and as values. */
import { FLAG_IF, iopl } from '../../../emulator/flags.ts';
import type { Sight } from '../../../emulator/observe/observation.ts';
import { selectorRpl } from '../../../emulator/segmentation.ts';
import { hex8, hex16, hex32, hexShort } from '../hex.ts';
import { operandInWords } from '../operands/words.ts';
import type { SightReport } from './report.ts';

type Of<K extends Sight['what']> = Extract<Sight, { what: K }>;

const interruptFlag = (eflags: number): 0 | 1 => ((eflags & FLAG_IF) !== 0 ? 1 : 0);
const levels = (eflags: number): string => `IF ${interruptFlag(eflags)}, IOPL ${iopl(eflags)}`;
const sized = (value: number, operandSize: 16 | 32): string =>
  operandSize === 16 ? hex16(value) : hex32(value);

const REPORTS: { readonly [K in Sight['what']]: (sight: Of<K>) => SightReport } = {
  flags: ({ image, operandSize }) => ({
    text: `${sized(image, operandSize)} (${levels(image)})`,
    values: { image: sized(image, operandSize), if: interruptFlag(image), iopl: iopl(image) },
  }),
  'flags-loaded': ({ before, requested, after }) => ({
    text: `EFLAGS ${hex32(after)} (${levels(after)})`,
    values: { before: hex32(before), requested: hex32(requested), after: hex32(after) },
  }),
  table: ({ base, limit }) => ({
    text: `base ${hex32(base)}, limit ${hexShort(limit)}`,
    values: { base: hex32(base), limit: hexShort(limit) },
  }),
  'boot-loader-table': () => ({
    text: "the boot loader's table",
    values: { owner: 'boot-loader' },
  }),
  selector: ({ register, selector }) => ({
    text: `${hex16(selector)} (RPL ${selectorRpl(selector)})`,
    values: { register, selector: hex16(selector), rpl: selectorRpl(selector) },
  }),
  'segment-loaded': ({ register, selector, dpl }) => ({
    text: dpl === undefined ? `the null selector ${hex16(selector)}` : `${hex16(selector)} (DPL ${dpl})`,
    values: { register, selector: hex16(selector), ...(dpl !== undefined && { dpl }) },
  }),
  transfer: ({ selector, cpl }) => ({
    text: `CS ${hex16(selector)} at CPL ${cpl}`,
    values: { selector: hex16(selector), cpl },
  }),
  'task-switch': ({ selector }) => ({
    text: selector === undefined ? 'the task that called this one' : `the task of ${hex16(selector)}`,
    values: selector === undefined ? {} : { selector: hex16(selector) },
  }),
  interrupt: ({ vector, taken }) => ({
    text: taken ? `vector ${hex8(vector)}` : `no interrupt: OF is 0`,
    values: { vector: hex8(vector), taken },
  }),
  cr0: ({ value, operandSize }) => ({
    text: `CR0 ${sized(value, operandSize)}`,
    values: { cr0: sized(value, operandSize) },
  }),
  descriptor: ({ selector, zf, value }) => ({
    text: `ZF ${zf}${value === undefined ? '' : ` and ${hex32(value)}`} for ${hex16(selector)}`,
    values: { selector: hex16(selector), zf, ...(value !== undefined && { value: hex32(value) }) },
  }),
  cpuid: ({ leaf, eax, ebx, ecx, edx, hypervisor }) => {
    const registers = { eax: hex32(eax), ebx: hex32(ebx), ecx: hex32(ecx), edx: hex32(edx) };
    const all = Object.entries(registers).map(([name, value]) => `${name.toUpperCase()} ${value}`);
    return {
      text: `leaf ${hexShort(leaf)}: ${hypervisor === undefined ? all.join(', ') : `hypervisor bit ${hypervisor ? 1 : 0}`}`,
      values: { leaf: hexShort(leaf), ...registers, ...(hypervisor !== undefined && { hypervisor }) },
    };
  },
  done: ({ operand }) => ({
    text: ['ran in ring 0', ...(operand ? operandInWords(operand) : [])].join(': '),
    values: operand ? { operand: operandInWords(operand).join('; ') } : {},
  }),
  xcr: ({ number, value }) => ({
    text: `XCR${number} ${hexShort(value)}`,
    values: { number, value: hexShort(value) },
  }),
};

export function sightReport(sight: Sight): SightReport {
  // The table pairs each kind with its own function; the compiler cannot follow that through an index.
  const report = REPORTS[sight.what] as (sight: Sight) => SightReport;
  return report(sight);
}
