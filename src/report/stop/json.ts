/** A Stop as the JSON report, `startup32/stop@1`. Everything that the text report shows is in it. */
import { exceptionName } from '../../../boot-protocols/exceptions.ts';
import type { BootProtocol } from '../../../boot-protocols/protocol.ts';
import { codeBits } from '../../../emulator/code-bits.ts';
import type { EntryState } from '../../../emulator/entry-state.ts';
import { iopl } from '../../../emulator/flags.ts';
import { findRule, type PrivilegeRule, type RuleResult } from '../../../emulator/privilege/index.ts';
import type { Delivery, Exception, Stop } from '../../../emulator/stop.ts';
import type { ElfImage, KernelImage } from '../../kernel-image/kernel-image.ts';
import { disassemble, listing, type Syntax } from '../disassemble.ts';
import { errorCodeMeaning, NO_GATE } from '../exceptions.ts';
import { explain, type Scene } from '../explain/index.ts';
import { handOverReport, namesOfMoved } from '../hand-over/json.ts';
import { hex8, hex16, hex32, hexBytes } from '../hex.ts';
import { instructionBytes } from '../instruction-bytes.ts';
import { createNames, type Names } from '../names.ts';
import { observationReports } from '../observations/json.ts';
import { operandReport } from '../operands/json.ts';
import { operandLines } from '../operands/words.ts';
import { headline } from './headline.ts';
import { cpuReport } from './registers.ts';
import type { ExceptionReport, RuleReport, StopReport } from './report.ts';

export interface ReportContext {
  /** What the machine was started from. */
  readonly entry: EntryState;
  readonly image: KernelImage;
  /** The protocol that made the entry state. */
  readonly protocol: BootProtocol;
  readonly engine: { readonly name: string; readonly version: string };
  /** Default `att`. */
  readonly syntax?: Syntax;
  /** The command line that repeats the run. */
  readonly command?: string;
  /** What the kernel printed on its serial port. */
  readonly serial?: Uint8Array;
  /** Of the run's trace. */
  readonly traceHash?: string | undefined;
  /** The kernel proper that the run goes to: a `reached` stop is then its first instruction. */
  readonly payload?: ElfImage;
  /** Traps that were answered before, in a run through all of them; default 0. */
  readonly answered?: number;
}

/** `schema` of every report. */
const SCHEMA_NAME: StopReport['schema'] = 'startup32/stop@1';

/**
 * The report of a stop as plain JSON: addresses and register values as hex strings (`0x00100001`), counts as numbers.
 * Pure: the same stop and context give the same report.
 */
export function stopReport(stop: Stop, context: ReportContext): StopReport {
  const { entry, image, protocol, syntax = 'att' } = context;
  const address = linearEip(stop);
  const payload = stop.kind === 'reached' ? context.payload : undefined;
  const names = createNames(image, entry);
  // Code that the stub ran before may have stood where the kernel proper is now: only the stop has its names.
  const own = payload ? namesOfMoved(payload, address) : names;
  const scene = createScene(stop, context, names);
  const explanation = explain(stop, scene);
  const reaction = protocol.reaction(stop, entry);
  return {
    schema: SCHEMA_NAME,
    kind: stop.kind,
    headline: headline(explanation.title, own.symbol(address), address, explanation.claims),
    at: place(address, own),
    ...(stop.exception && { exception: exceptionReport(stop.exception) }),
    ...(stop.delivery && { delivery: deliveryReport(stop.delivery) }),
    facts: explanation.facts,
    ...(explanation.eflags && { eflags: [...explanation.eflags] }),
    observations: observationReports(stop.observations, names, syntax),
    ...(stop.operand && { operand: operandReport(stop.operand) }),
    ...(payload && { handOver: handOverReport(stop, entry, payload) }),
    details: [
      ...explanation.details,
      ...operandLines(stop),
      ...[stop.exception && errorCodeMeaning(stop.exception), deliveryDetail(stop, names)].filter(
        line => line !== undefined,
      ),
    ],
    instructions: stop.instructions,
    counted: stop.counted,
    code: codeReport(stop, address, syntax),
    why: {
      text: explanation.why,
      ...(explanation.rule && { rule: ruleReport(explanation.rule, explanation.line) }),
    },
    means: {
      outcome: reaction.outcome,
      text: reaction.sentence,
      ...(reaction.citation !== undefined && { citation: reaction.citation }),
    },
    next: [...protocol.advice(stop, image, entry)],
    cpu: cpuReport(stop.cpu),
    trail: stop.trail.map(start => place(start, names)),
    engine: { name: context.engine.name, version: context.engine.version },
    cpuModel: entry.platform.cpuModel,
    image: { name: image.name, format: image.format, size: image.size, sha256: image.sha256 },
    protocol: entry.protocol,
    knobs: { ...entry.knobs },
    ...(context.command !== undefined && { command: context.command }),
    ...(context.traceHash !== undefined && { traceHash: context.traceHash }),
    ...(context.serial && { serial: latin1(context.serial) }),
    warnings: image.warnings.map(({ code, message }) => ({ code, message })),
  };
}

/** Where the CPU stands, as a linear address. */
const linearEip = (stop: Stop): number =>
  stop.instruction?.address ?? (stop.cpu.eip + (stop.cpu.segments.cs.descriptor?.base ?? 0)) >>> 0;

function createScene(
  stop: Stop,
  { entry, protocol, payload, answered = 0 }: ReportContext,
  names: Names,
): Scene {
  // Headlines speak AT&T in every report, so that one stop has one headline.
  const text = stop.instruction
    ? disassemble(instructionBytes(stop), stop.instruction.address, 'att', 1, codeBits(stop.cpu))[0]?.text
    : undefined;
  const instruction = text?.replace(/\s+/g, ' ') ?? 'the instruction';
  return {
    entry,
    names,
    cpl: stop.cpu.cpl,
    iopl: iopl(stop.cpu.eflags),
    instruction,
    mnemonic:
      text === undefined ? instruction : (/^((rep[a-z]*|lock) )?\S+/.exec(instruction)?.[0] ?? instruction),
    answered,
    ...(payload && { isHandOver: true }),
    rule: findRule,
    hypercallName: number =>
      protocol.hypercallName?.(number, {
        entry,
        ...(stop.kind === 'hypercall' && { arguments: stop.arguments }),
      }),
  };
}

function place(address: number, names: Names): StopReport['at'] {
  const symbol = names.symbol(address);
  return { address: hex32(address), ...(symbol !== undefined && { symbol }) };
}

function exceptionReport(exception: Exception): ExceptionReport {
  return {
    vector: hex8(exception.vector),
    ...exceptionName(exception.vector),
    ...(exception.errorCode !== undefined && { errorCode: hex16(exception.errorCode) }),
  };
}

function deliveryReport(delivery: Delivery): NonNullable<StopReport['delivery']> {
  return delivery.to === 'gate'
    ? { to: 'gate', selector: hex16(delivery.selector), offset: hex32(delivery.offset) }
    : delivery;
}

/** Where the exception goes. A shutdown stop tells it in its own words, and a hypervisor is what `means` is about. */
function deliveryDetail({ delivery, kind }: Stop, names: Names): string | undefined {
  if (delivery === undefined || kind === 'shutdown' || delivery.to === 'hypervisor') return undefined;
  if (delivery.to === 'gate')
    return `the CPU delivers it to the kernel's own handler at ${hex16(delivery.selector)}:${names.place(delivery.offset)}`;
  return `the kernel's IDT has no usable gate for it (${NO_GATE[delivery.reason]}): the CPU would shut down`;
}

function codeReport(stop: Stop, address: number, syntax: Syntax): StopReport['code'] {
  const lines = stop.instruction
    ? listing(stop.code.bytes, stop.code.blockStart, address, syntax, codeBits(stop.cpu))
    : [];
  const current = lines.findIndex(line => line.current);
  return {
    syntax,
    lines: lines.map(line => ({
      address: hex32(line.address),
      bytes: hexBytes(line.bytes),
      text: line.text,
      current: line.current,
    })),
    bytes: lines.map(line => hexBytes(line.bytes)).join(' '),
    mark: current < 0 ? -1 : lines.slice(0, current).reduce((total, line) => total + line.bytes.length, 0),
  };
}

function ruleReport(rule: PrivilegeRule, line: RuleResult | undefined): RuleReport {
  const { id, instruction, condition, reason, citation } = rule;
  const result = line?.effect ?? rule.result;
  const when = line && { when: line.when };
  return { id, class: rule.class, instruction, condition, ...when, result, reason, citation };
}

const latin1 = (bytes: Uint8Array): string => Array.from(bytes, byte => String.fromCharCode(byte)).join('');
