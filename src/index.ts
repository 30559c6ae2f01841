/** Every public name of startup32, once. */

export type { Answer, AnswerKind, VirtualCpu } from '../boot-protocols/hosts/answers.ts';
export type { HostAction, HostAnswer, HostName } from '../boot-protocols/hosts/index.ts';
export { HOST_NAMES, hostAnswer, hostAnswerToFault } from '../boot-protocols/hosts/index.ts';
export { findProtocol, PROTOCOLS } from '../boot-protocols/index.ts';
export type { KnobbedProtocol, KnobDefaults } from '../boot-protocols/knobs.ts';
export type {
  BootModule,
  BootOptions,
  BootProtocol,
  HypercallScene,
  KnobName,
  ProtocolName,
  Reaction,
  Startable,
  XenHost,
} from '../boot-protocols/protocol.ts';
export { DEFAULT_MEMORY, ProtocolError } from '../boot-protocols/protocol.ts';
export { type Starter, whoCanStart } from '../boot-protocols/who-can-start.ts';
export { EntryStateError, type EntryStateErrorCode } from '../emulator/check-entry-state.ts';
export type * from '../emulator/cpu-state.ts';
export type { DebugRegisters, Effect, LinearWrite } from '../emulator/effect.ts';
export { type EntryMemory, readEntryMemory } from '../emulator/entry-memory.ts';
export type * from '../emulator/entry-state.ts';
export type { FlagName, FlagRow } from '../emulator/flags.ts';
export { type Continuation, Machine, type MachineOptions, type RunOptions } from '../emulator/machine.ts';
export type * from '../emulator/observe/observation.ts';
export type * from '../emulator/operands/types.ts';
export type {
  InstructionForm,
  Outcome,
  PrivilegeContext,
  PrivilegeRule,
  RuleClass,
  RuledInstruction,
  RuleResult,
} from '../emulator/privilege/index.ts';
export { findRule, PRIVILEGE_RULES, ruleOfInstruction } from '../emulator/privilege/index.ts';
export type { CodePattern, StopOn } from '../emulator/run-options.ts';
export type { Descriptor, SegmentName, SegmentRegister } from '../emulator/segmentation.ts';
export type * from '../emulator/stop.ts';
export {
  createTraceHash,
  formatTraceEvent,
  type TraceEvent,
  type TraceHash,
  type TraceSink,
} from '../emulator/trace.ts';
export type { EngineName, UnicornLibrary } from '../emulator/unicorn/api.ts';
export { EngineError, type EngineErrorCode } from '../emulator/unicorn/errors.ts';
export { type EngineChoice, loadUnicorn } from '../emulator/unicorn/load.ts';
export type { BootRequest, ReportOptions } from './boot.ts';
export { boot, report } from './boot.ts';
export type * from './kernel-image/index.ts';
export { createSymbolizer, KernelImageError, readKernelImage, relocate } from './kernel-image/index.ts';
export type { FileSource, LoadOptions, OnProgress } from './load-image.ts';
export { loadImage } from './load-image.ts';
export type { Syntax } from './report/disassemble.ts';
export type { InspectReport } from './report/inspect/json.ts';
export { inspectReport } from './report/inspect/json.ts';
export { inspectText } from './report/inspect/text.ts';
export { stateReport } from './report/state/json.ts';
export type { StateReport } from './report/state/report.ts';
export { type StateTextOptions, stateText } from './report/state/text.ts';
export { stateDiffReport } from './report/state-diff/json.ts';
export type { StateDifference, StateDiffReport } from './report/state-diff/report.ts';
export { stateDiffText } from './report/state-diff/text.ts';
export type { ReportContext } from './report/stop/json.ts';
export { stopReport } from './report/stop/json.ts';
export type { StopReport } from './report/stop/report.ts';
export { type TextOptions, textReport } from './report/stop/text.ts';
export type { TrapReport, TrapsReport } from './report/traps/report.ts';
export { trapsText } from './report/traps/text.ts';
export { reportTraps } from './report-traps.ts';
export { runThroughTraps, type Trap, type TrapsEnd, type TrapsOptions, type TrapsResult } from './traps.ts';
export { type UnpackOptions, unpackKernel } from './unpack.ts';
export { payloadEntryCode } from './until-payload.ts';
export { type WrapOptions, wrapKernel } from './wrap/wrap.ts';
