/**
 * `xen`: what a 64-bit Xen 4.14 does at a trap of a 32-bit PV guest in ring 1. xen/arch/x86/pv/emul-priv-op.c,
 * pv/emul-inv-op.c, pv/traps.c. What it does not emulate it injects into the guest's own trap table, which there is
 * none of before hypercall set_trap_table: then the domain crashes.
 */
import { CR0_TS, CR4_DE, CR4_TSD } from '../../../emulator/control-bits.ts';
import { findCpuModel } from '../../../emulator/cpu-models/index.ts';
import type { RuleId, Stop, StopOf } from '../../../emulator/stop.ts';
import { xenCpuid } from '../../xen/cpuid.ts';
import { hypercallPage } from '../../xen/hypercalls.ts';
import { type Answer, cited, emulated, ended, killed, passed, type Respond, unanswered } from '../answer.ts';
import { decode } from '../instruction.ts';
import {
  type Emulate,
  moveFromControl,
  moveFromDebug,
  moveToDebug,
  readMsr,
  timeStamp,
} from '../monitor/privileged.ts';

const PRIVILEGED_OPERATION = 'Xen 4.14 xen/arch/x86/pv/emul-priv-op.c';
const INVALID_OPERATION = 'Xen 4.14 xen/arch/x86/pv/emul-inv-op.c';
const TRAPS = 'Xen 4.14 xen/arch/x86/pv/traps.c, pv_inject_event';

/** CR4 bits that a PV guest controls, as far as the CPU models have them: DE and TSD. Xen 4.14 xen/arch/x86/pv/domain.c. */
const CR4_GUEST = CR4_DE | CR4_TSD;
/** MSR of the hypercall page: Xen CPUID leaf +2. */
const MSR_HYPERCALL_PAGE = 0x40000000;
/** The bytes of the prefix `ud2; "xen"`. */
const PREFIX_LENGTH = 5;
const CPUID_LENGTH = 2;

const crash = (what: string): Answer =>
  cited(
    killed(
      `Xen ${what} the guest's own trap table, which is empty before hypercall set_trap_table: the domain crashes.`,
    ),
    TRAPS,
  );

const injected = (stop: Stop): Answer => {
  const { vector = 13 } = stop.exception ?? {};
  return crash(`does not emulate it and injects vector ${vector} through`);
};

/** A control register write as emul-priv-op.c write_cr does it. */
const writeControl: Emulate = (stop, { systemRegister, generalRegister }) => {
  if (generalRegister === undefined) return injected(stop);
  const value = stop.cpu.registers[generalRegister];
  const { cr0, cr4 } = stop.cpu.control;
  switch (systemRegister) {
    case 0:
      return ((value ^ cr0) & ~CR0_TS) === 0
        ? emulated('Xen takes CR0 when nothing but TS changes.', { control: { cr0: value } })
        : crash('lets a guest change TS of CR0 and nothing else: it injects #GP(0) through');
    case 2:
      return emulated("CR2 is the guest's own.", { control: { cr2: value } });
    case 3:
      return unanswered(
        'Xen takes it as MMUEXT_NEW_BASEPTR, and startup32 does not validate page tables as Xen does.',
      );
    case 4:
      return emulated('Xen keeps what it does not let a guest control, and says nothing.', {
        control: { cr4: ((cr4 & ~CR4_GUEST) | (value & CR4_GUEST)) >>> 0 },
      });
    default:
      return injected(stop);
  }
};

/** MOV from CR3 gives the frame number, its upper bits below: xen/include/public/arch-x86/xen-x86_32.h, xen_pfn_to_cr3. */
const readControl: Emulate = (stop, decoded, context) => {
  const { systemRegister, generalRegister } = decoded;
  if (systemRegister !== 3 || generalRegister === undefined) return moveFromControl(stop, decoded, context);
  const frame = stop.cpu.control.cr3 >>> 12;
  const value = ((frame << 12) | (frame >>> 20)) >>> 0;
  return emulated('The guest reads its own top-level frame.', { registers: { [generalRegister]: value } });
};

const writeMsr: Emulate = (stop, _decoded, { entry }) => {
  const { eax, ecx } = stop.cpu.registers;
  if (ecx !== MSR_HYPERCALL_PAGE) return emulated('Xen drops the write without a fault.', {});
  if (entry.platform.hypervisor !== 'xen')
    return unanswered('Xen fills a hypercall page, and this kernel was not started by Xen.');
  return emulated('Xen makes the page a hypercall page.', {
    writes: [{ linear: (eax & 0xfffff000) >>> 0, bytes: hypercallPage() }],
  });
};

/** Rules that emul-priv-op.c emulates whatever the virtual IOPL. Ports, CLI and STI need one that only a hypercall sets. */
const EMULATED: Readonly<Record<RuleId, Emulate>> = {
  clts: ({ cpu }) => emulated('Xen clears TS.', { control: { cr0: (cpu.control.cr0 & ~CR0_TS) >>> 0 } }),
  wbinvd: () => emulated('Xen steps over it: a guest without devices has no use for it.', {}),
  'mov-to-cr': writeControl,
  'mov-from-cr': readControl,
  'mov-to-dr': moveToDebug,
  'mov-from-dr': moveFromDebug,
  rdmsr: readMsr,
  wrmsr: writeMsr,
  rdtsc: timeStamp,
};

function privileged(stop: StopOf<'privileged-instruction'>, context: Parameters<Respond>[1]): Answer {
  const decoded = decode(stop);
  const emulate = Object.hasOwn(EMULATED, stop.rule) ? EMULATED[stop.rule] : undefined;
  if (!decoded || !emulate) return injected(stop);
  const answer = emulate(stop, decoded, context);
  return answer.citation === undefined ? cited(answer, PRIVILEGED_OPERATION) : answer;
}

function forcedEmulation(stop: StopOf<'forced-emulation'>, { entry }: Parameters<Respond>[1]): Answer {
  const model = findCpuModel(entry.platform.cpuModel);
  if (stop.prefixed !== 'cpuid' || !model) return injected(stop);
  const { eax, ecx } = stop.cpu.registers;
  const { eax: a, ebx, ecx: c, edx } = xenCpuid(model, eax, ecx);
  const eip = (stop.cpu.eip + PREFIX_LENGTH + CPUID_LENGTH) >>> 0;
  return cited(
    emulated('Xen answers cpuid for its guest.', { registers: { eax: a, ebx, ecx: c, edx }, eip }),
    INVALID_OPERATION,
  );
}

export const xen: Respond = (stop, context): Answer => {
  switch (stop.kind) {
    case 'privileged-instruction':
      return privileged(stop, context);
    case 'iopl-sensitive-instruction':
      return crash('wants virtual IOPL 1, which only hypercall physdev_op sets: it injects #GP(0) through');
    case 'forced-emulation':
      return forcedEmulation(stop, context);
    case 'segment-load':
      if (!stop.exception) return passed('Nothing traps: the CPU goes on.');
      return injected(stop);
    case 'popf':
    case 'iret':
    case 'sensitive':
      return passed('Nothing traps: Xen never hears of it, and the flag keeps its value.');
    case 'hypercall':
      return unanswered('startup32 has no Xen that answers hypercalls.');
    case 'halt':
      return ended('The kernel halts, and no interrupt comes here.');
    case 'shutdown':
      return ended('The guest has no handler.');
    case 'memory-hole':
    case 'rom-write':
    case 'loader-memory':
    case 'long-mode':
      return unanswered('Xen gives a 32-bit PV guest nothing here.');
    default:
      return stop.exception ? injected(stop) : unanswered('The run ended for a reason of its own.');
  }
};
