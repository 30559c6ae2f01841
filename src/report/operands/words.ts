/** What the instruction was about to do, in lines of text. */
import type {
  BitChange,
  ControlRegisterOperand,
  NoDescriptor,
  Operand,
  OperandMemory,
  PortOperand,
  Quadword,
  SegmentOperand,
  TableOperand,
  Unreadable,
} from '../../../emulator/operands/index.ts';
import type { Stop, StopKind } from '../../../emulator/stop.ts';
import { descriptorInWords, selectorInWords, tableOf } from '../descriptor.ts';
import { count, hex8, hex16, hex32, hexShort } from '../hex.ts';

const UNREADABLE: Readonly<Record<Unreadable, string>> = {
  'null-segment': 'its segment register holds a null selector',
  'segment-limit': 'it is beyond the limit of its segment',
  'page-not-present': 'no page is mapped there',
  'no-memory': 'there is no memory',
};

const quad = ({ low, high }: Quadword): string => `0x${hex32(high).slice(2)}${hex32(low).slice(2)}`;

/** `ds:0x00100120`, and the linear address where it is another. */
const at = ({ segment, offset, linear }: OperandMemory): string =>
  `${segment}:${hex32(offset)}${linear === offset ? '' : ` (linear ${hex32(linear)})`}`;

const cannotRead = (what: string, memory: OperandMemory): string | undefined =>
  memory.unreadable && `${what} at ${at(memory)} cannot be read: ${UNREADABLE[memory.unreadable]}`;

const words = (names: readonly string[]): string => (names.length === 0 ? 'no bit set' : names.join(' '));

function changesInWords(changes: readonly BitChange[]): string {
  const named = (to: 0 | 1): string =>
    changes
      .filter(change => change.to === to)
      .map(change => change.bit)
      .join(' ');
  const set = named(1);
  const cleared = named(0);
  const parts = [set && `sets ${set}`, cleared && `clears ${cleared}`].filter(Boolean);
  return parts.length === 0 ? 'changes no bit' : parts.join(', ');
}

function table({ register, memory, table: found }: TableOperand): string[] {
  const what = 'pseudo-descriptor';
  if (!found) return [cannotRead(`the ${what}`, memory) ?? ''];
  const { base, limit, entries, first, present, unreadable } = found;
  const noun = register === 'gdtr' ? `${entries} entries` : count(entries, 'gate');
  const head = `${what} at ${at(memory)}: base ${hex32(base)}, limit ${hexShort(limit)}, ${noun}`;
  if (unreadable) return [head, `the table at ${hex32(base)} cannot be read: ${UNREADABLE[unreadable]}`];
  if (present !== undefined) return [entries > 0 ? `${head}, ${present} of them present` : head];
  return [
    head,
    ...(first ?? []).map(
      ({ selector, descriptor }) => `${hex16(selector)}: ${descriptorInWords(descriptor)}`,
    ),
  ];
}

function noDescriptor(reason: NoDescriptor, selector: number, register: SegmentOperand['register']): string {
  switch (reason) {
    case 'null':
      return 'no descriptor: it is the null selector';
    case 'no-gdt':
      return 'no descriptor: there is no GDT';
    case 'no-ldt':
      return 'no descriptor: there is no LDT';
    case 'limit':
      return `no descriptor: it is beyond the limit of the ${tableOf(selector)}`;
    case 'not-gdt':
      return `no descriptor: ${register.toUpperCase()} takes a selector of the GDT only`;
    default:
      return `the descriptor cannot be read: ${UNREADABLE[reason]}`;
  }
}

function segment({
  register,
  memory,
  selector,
  offset,
  descriptor,
  noDescriptor: none,
}: SegmentOperand): string[] {
  if (selector === undefined) return memory ? [cannotRead(`the selector for ${register}`, memory) ?? ''] : [];
  return [
    ...(register === 'cs' && offset !== undefined ? [`to ${hex16(selector)}:${hex32(offset)}`] : []),
    selectorInWords(selector),
    ...(descriptor ? [`descriptor: ${descriptorInWords(descriptor)}`] : []),
    ...(none ? [noDescriptor(none, selector, register)] : []),
  ];
}

function control(operand: ControlRegisterOperand): string[] {
  const { access, current, requested, changes, set, memory, pageDirectory: directory } = operand;
  const name = operand.register.toUpperCase();
  const unread = memory && cannotRead('the machine status word', memory);
  if (unread) return [unread];
  const bit = (value: boolean): 0 | 1 => (value ? 1 : 0);
  const top = directory
    ? `${directory.level === 'PD' ? 'page directory' : 'page-directory-pointer table'} at physical ${hex32(directory.physical)}, ` +
      `PWT ${bit(directory.writeThrough)}, PCD ${bit(directory.cacheDisabled)}`
    : undefined;
  if (access === 'read' || requested === undefined) {
    const meaning = top ?? (set && words(set));
    return [`${name} is ${hex32(current)}${meaning === undefined ? '' : `: ${meaning}`}`];
  }
  const meaning = top ?? (changes && changesInWords(changes));
  return [
    `${name} now ${hex32(current)}, requested ${hex32(requested)}${meaning === undefined ? '' : `: ${meaning}`}`,
  ];
}

const SIZED_HEX = { 1: hex8, 2: hex16, 4: hex32 } as const;

function port({ direction, number, name, size, value, memory, count: transfers }: PortOperand): string[] {
  const behind = name === undefined ? '' : ` (${name})`;
  const written = value === undefined ? '' : ` of ${SIZED_HEX[size](value)}`;
  const act = direction === 'in' ? 'read from' : `write${written} to`;
  const what = `${size}-byte ${act} port ${hex16(number)}${behind}`;
  if (!memory) return [what];
  const where = `${direction === 'in' ? 'to' : 'from'} ${at(memory)}`;
  const unread = cannotRead('its data', memory);
  const times = transfers === undefined ? '' : `, ${count(transfers, 'transfer')}`;
  return [`${what}, ${where}${times}`, ...(unread === undefined ? [] : [unread])];
}

const PAGE_SIZES: Readonly<Record<number, string>> = { 4096: '4 KiB', 2097152: '2 MiB', 4194304: '4 MiB' };

type Lines = { readonly [T in Operand['type']]: (operand: Extract<Operand, { type: T }>) => string[] };

const LINES: Lines = {
  'descriptor-table': table,
  segment,
  'control-register': control,
  'debug-register': ({ number, current, requested, set }) =>
    requested === undefined
      ? current === undefined
        ? []
        : [`DR${number} is ${hex32(current)}${set === undefined ? '' : `: ${words(set)}`}`]
      : [
          `DR${number}${current === undefined ? '' : ` now ${hex32(current)},`} requested ${hex32(requested)}${set === undefined ? '' : `: ${words(set)}`}`,
        ],
  page: ({ linear, mapping, unmapped }) => {
    const page = `page of ${hex32(linear)}`;
    if (mapping) {
      const { physical, pageSize, writable, user } = mapping;
      return [
        `${page}: physical 0x${physical.toString(16).padStart(8, '0')}, ${PAGE_SIZES[pageSize] ?? pageSize}, ` +
          `${writable ? 'writable' : 'read-only'}, ${user ? 'user' : 'supervisor'}`,
      ];
    }
    if (unmapped === undefined) return [page];
    const reasons = {
      'paging-off': 'paging is off',
      'page-not-present': UNREADABLE['page-not-present'],
      'null-segment': UNREADABLE['null-segment'],
    };
    return [`${page}: ${reasons[unmapped]}`];
  },
  msr: ({ access, index, name, current, requested, changes, set }) => {
    const which = `MSR ${hexShort(index)}${name === undefined ? '' : ` (${name})`}`;
    if (access === 'read' || !requested) {
      return [`${which} reads ${quad(current)}${set === undefined ? '' : `: ${words(set)}`}`];
    }
    const what = changes === undefined ? '' : `: ${changesInWords(changes)}`;
    return [`${which} now ${quad(current)}, requested ${quad(requested)}${what}`];
  },
  port,
  'extended-control-register': ({ index, requested, set }) => [
    `XCR${index} requested ${quad(requested)}: ${words(set)}`,
  ],
  counter: ({ counter, index, value }) => [
    counter === 'performance'
      ? `performance counter ${hexShort(index ?? 0)} reads ${quad(value)}`
      : `time-stamp counter reads ${quad(value)}`,
  ],
  halt: ({ interruptsEnabled }) => [
    interruptsEnabled
      ? 'IF is 1: the CPU would wait for an interrupt'
      : 'IF is 0: the CPU would wait for an NMI, an SMI or a reset',
  ],
  interrupt: ({ vector, gate, noGate }) => {
    const which = `gate ${hex8(vector)}`;
    if (gate) {
      const { kind, selector, offset, dpl, present } = gate;
      return [
        `${which}: ${kind} to ${hex16(selector)}:${hex32(offset)}, DPL ${dpl}, ${present ? 'present' : 'not present'}`,
      ];
    }
    if (noGate === 'hypervisor' || noGate === undefined) return [];
    return [
      noGate === 'limit'
        ? `${which} is beyond the limit of the IDT`
        : `${which} cannot be read: ${UNREADABLE[noGate]}`,
    ];
  },
  'fast-call': ({ instruction, sysenterCs, cs, ss, eip, esp }) => [
    `IA32_SYSENTER_CS is ${hex32(sysenterCs)}: ${instruction} goes to ${hex16(cs)}:${hex32(eip)} with the stack at ${hex16(ss)}:${hex32(esp)}`,
  ],
};

/** Stops whose own lines say the same. */
const SAYS_IT: ReadonlySet<StopKind> = new Set(['segment-load', 'halt', 'hypercall']);

/** Lines for a stop's operand, the most telling first; none where the stop says it already. */
export function operandLines(stop: Stop): string[] {
  return stop.operand && !SAYS_IT.has(stop.kind) ? operandInWords(stop.operand) : [];
}

/** Lines for an operand. */
export const operandInWords = <O extends Operand>(operand: O): string[] =>
  (LINES[operand.type] as (operand: O) => string[])(operand);
