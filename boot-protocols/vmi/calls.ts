/** VMI's calls by number: Linux 2.6.24 include/asm-x86/vmi.h; the time interface: include/asm-x86/vmi_time.h. */

/** From 0 on, without VMI_CALL_ in front. */
const FROM_0 = [
  'CPUID',
  'WRMSR',
  'RDMSR',
  'SetGDT',
  'SetLDT',
  'SetIDT',
  'SetTR',
  'GetGDT',
  'GetLDT',
  'GetIDT',
  'GetTR',
  'WriteGDTEntry',
  'WriteLDTEntry',
  'WriteIDTEntry',
  'UpdateKernelStack',
  'SetCR0',
  'SetCR2',
  'SetCR3',
  'SetCR4',
  'GetCR0',
  'GetCR2',
  'GetCR3',
  'GetCR4',
  'WBINVD',
  'SetDR',
  'GetDR',
  'RDPMC',
  'RDTSC',
  'CLTS',
  'EnableInterrupts',
  'DisableInterrupts',
  'GetInterruptMask',
  'SetInterruptMask',
  'IRET',
  'SYSEXIT',
  'Halt',
  'Reboot',
  'Shutdown',
  'SetPxE',
  'SetPxELong',
  'UpdatePxE',
  'UpdatePxELong',
  'MachineToPhysical',
  'PhysicalToMachine',
  'AllocatePage',
  'ReleasePage',
  'InvalPage',
  'FlushTLB',
  'SetLinearMapping',
] as const;

const LATER: Readonly<Record<number, string>> = {
  61: 'SetIOPLMask',
  62: 'SetInitialAPState',
  63: 'APICWrite',
  64: 'APICRead',
  65: 'IODelay',
  66: 'GetCycleFrequency',
  67: 'GetCycleCounter',
  68: 'SetAlarm',
  69: 'CancelAlarm',
  70: 'GetWallclockTime',
  71: 'WallclockUpdated',
  73: 'SetLazyMode',
};

/** `VMI_CALL_SetCR3` for 17. */
export function vmiCallName(number: number): string | undefined {
  const name = FROM_0[number] ?? LATER[number];
  return name === undefined ? undefined : `VMI_CALL_${name}`;
}

/** The two calls that are entries of the ROM itself, in the order of its header. */
export const VMI_INIT = 0;
export const GET_RELOC = 1;

/** @param argument of get_reloc: the number of the call that is asked for */
export function romCallName(number: number, argument: number | undefined): string | undefined {
  if (number === VMI_INIT) return 'vmi_init';
  if (number !== GET_RELOC) return undefined;
  if (argument === undefined) return 'get_reloc';
  return `get_reloc(${vmiCallName(argument) ?? argument})`;
}
