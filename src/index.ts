/** Every public name of startup32, once. */

export { findProtocol, PROTOCOLS } from '../boot-protocols/index.ts';
export type {
  BootOptions,
  BootProtocol,
  KnobName,
  ProtocolName,
  Reaction,
  Startable,
} from '../boot-protocols/protocol.ts';
export { DEFAULT_MEMORY, ProtocolError } from '../boot-protocols/protocol.ts';
export type * from '../emulator/cpu-state.ts';
export type * from '../emulator/entry-state.ts';
export { Machine, type MachineOptions, type RunOptions } from '../emulator/machine.ts';
export type { PrivilegeRule, RuleClass } from '../emulator/privilege/index.ts';
export { findRule, PRIVILEGE_RULES } from '../emulator/privilege/index.ts';
export type { Descriptor, SegmentName, SegmentRegister } from '../emulator/segmentation.ts';
export type * from '../emulator/stop.ts';
export type { EngineName, UnicornLibrary } from '../emulator/unicorn/api.ts';
export { EngineError, type EngineErrorCode } from '../emulator/unicorn/errors.ts';
export { type EngineChoice, loadUnicorn } from '../emulator/unicorn/load.ts';
export type { BootRequest, ReportOptions } from './boot.ts';
export { boot, report } from './boot.ts';
export type * from './kernel-image/index.ts';
export { createSymbolizer, KernelImageError, readKernelImage } from './kernel-image/index.ts';
export type { FileSource, LoadOptions } from './load-image.ts';
export { loadImage } from './load-image.ts';
export type { Syntax } from './report/disassemble.ts';
export type { InspectReport } from './report/inspect-json.ts';
export { inspectReport } from './report/inspect-json.ts';
export { inspectText } from './report/inspect-text.ts';
export type { ReportContext } from './report/json.ts';
export { stopReport } from './report/json.ts';
export type { StopReport } from './report/stop-report.ts';
export { type TextOptions, textReport } from './report/text.ts';
