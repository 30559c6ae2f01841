/** Makes an operand's JSON. */
import type { BitChange, Gate, Operand, OperandMemory, Quadword } from '../../../emulator/operands/index.ts';
import type { Descriptor } from '../../../emulator/segmentation.ts';
import { descriptorReport } from '../descriptor.ts';
import { hex8, hex16, hex32, hex64 } from '../hex.ts';
import type { BitChangeReport, OperandMemoryReport, OperandReport } from './report.ts';

const quad = ({ low, high }: Quadword): string => hex64((BigInt(high) << 32n) | BigInt(low));

const memoryReport = ({ segment, offset, linear, size, unreadable }: OperandMemory): OperandMemoryReport => ({
  segment,
  offset: hex32(offset),
  linear: hex32(linear),
  size,
  ...(unreadable && { unreadable }),
});

const changesReport = (changes: readonly BitChange[]): BitChangeReport[] =>
  changes.map(({ bit, from, to }) => ({ bit, from, to }));

const gateReport = ({ kind, selector, offset, dpl, present }: Gate) => ({
  kind,
  selector: hex16(selector),
  offset: hex32(offset),
  dpl,
  present,
});

/** What operands of several types have, in JSON's form. */
const memory = (o: { readonly memory?: OperandMemory }) => o.memory && { memory: memoryReport(o.memory) };
const descriptor = (o: { readonly descriptor?: Descriptor }) =>
  o.descriptor && { descriptor: descriptorReport(o.descriptor) };
const bits = (o: { readonly changes?: readonly BitChange[]; readonly set?: readonly string[] }) => ({
  ...(o.changes && { changes: changesReport(o.changes) }),
  ...(o.set && { set: [...o.set] }),
});

export function operandReport(o: Operand): OperandReport {
  switch (o.type) {
    case 'descriptor-table': {
      const { type, register, operandSize, table } = o;
      return {
        type,
        register,
        operandSize,
        memory: memoryReport(o.memory),
        ...(table && {
          table: {
            base: hex32(table.base),
            limit: hex16(table.limit),
            entries: table.entries,
            ...(table.first && {
              first: table.first.map(entry => ({
                selector: hex16(entry.selector),
                descriptor: descriptorReport(entry.descriptor),
              })),
            }),
            ...(table.present !== undefined && { present: table.present }),
            ...(table.unreadable && { unreadable: table.unreadable }),
          },
        }),
      };
    }
    case 'segment':
      return {
        type: o.type,
        register: o.register,
        ...memory(o),
        ...(o.selector !== undefined && { selector: hex16(o.selector) }),
        ...(o.offset !== undefined && { offset: hex32(o.offset) }),
        ...descriptor(o),
        ...(o.noDescriptor && { noDescriptor: o.noDescriptor }),
      };
    case 'control-register':
      return {
        type: o.type,
        register: o.register,
        access: o.access,
        current: hex32(o.current),
        ...memory(o),
        ...(o.requested !== undefined && { requested: hex32(o.requested) }),
        ...bits(o),
        ...(o.pageDirectory && {
          pageDirectory: { ...o.pageDirectory, physical: hex32(o.pageDirectory.physical) },
        }),
      };
    case 'debug-register':
      return {
        type: o.type,
        number: o.number,
        access: o.access,
        ...(o.current !== undefined && { current: hex32(o.current) }),
        ...(o.requested !== undefined && { requested: hex32(o.requested) }),
        ...bits(o),
      };
    case 'page':
      return {
        type: o.type,
        linear: hex32(o.linear),
        ...(o.mapping && { mapping: { ...o.mapping, physical: hex64(BigInt(o.mapping.physical)) } }),
        ...(o.unmapped && { unmapped: o.unmapped }),
      };
    case 'msr':
      return {
        type: o.type,
        access: o.access,
        index: hex32(o.index),
        ...(o.name !== undefined && { name: o.name }),
        current: quad(o.current),
        ...(o.requested && { requested: quad(o.requested) }),
        ...bits(o),
      };
    case 'port':
      return {
        type: o.type,
        direction: o.direction,
        number: hex16(o.number),
        ...(o.name !== undefined && { name: o.name }),
        size: o.size,
        ...(o.value !== undefined && { value: hex32(o.value) }),
        ...memory(o),
        ...(o.count !== undefined && { count: o.count }),
      };
    case 'extended-control-register':
      return { type: o.type, index: o.index, requested: quad(o.requested), set: [...o.set] };
    case 'counter':
      return {
        type: o.type,
        counter: o.counter,
        ...(o.index !== undefined && { index: o.index }),
        value: quad(o.value),
      };
    case 'halt':
      return { type: o.type, interruptsEnabled: o.interruptsEnabled };
    case 'interrupt':
      return {
        type: o.type,
        vector: hex8(o.vector),
        ...(o.gate && { gate: gateReport(o.gate) }),
        ...(o.noGate && { noGate: o.noGate }),
      };
    case 'fast-call':
      return {
        type: o.type,
        instruction: o.instruction,
        sysenterCs: hex32(o.sysenterCs),
        cs: hex16(o.cs),
        ss: hex16(o.ss),
        eip: hex32(o.eip),
        esp: hex32(o.esp),
      };
  }
}
