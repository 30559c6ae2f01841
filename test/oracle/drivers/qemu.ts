/**
 * QEMU, with TCG or KVM, from the Debian package `qemu-system-x86`.
 *
 * TCG with `-cpu max`, as CPUID of Debian 12's QEMU 7.2 says it: DE, PSE, TSC, PAE, PGE, SEP, MSR, MTRR, FXSR, SSE to
 * SSE4.2, AVX2, XSAVE, MONITOR, RDRAND, RDTSCP, NX, SYSCALL, SVM, FSGSBASE, UMIP. There is no VME or PVI: CR4 takes the bits,
 * nothing follows from them. There is no PCID. It does not check segment limits and types on access. A write of a reserved bit
 * to CR4 (one whose feature CPUID does not have) never ends, where a CPU raises #GP(0).
 */
import { type Command, DISK } from './process.ts';

/**
 * A case may set any bit of CR4 that is left, and the handlers, in supervisor pages, still reach what they read. No CPU
 * model of startup32 has MONITOR, CLAC or STAC.
 */
const WITHOUT = '-smep,-smap,-pku,-la57,-arch-capabilities,-monitor';

const PROGRAM = 'qemu-system-i386';

export function qemuCommand(accelerator: 'tcg' | 'kvm'): Command {
  const cpu = `${accelerator === 'kvm' ? 'host' : 'max'},${WITHOUT}`;
  return {
    program: PROGRAM,
    arguments: [
      '-accel',
      accelerator,
      '-cpu',
      cpu,
      '-m',
      '64',
      '-nodefaults',
      '-no-user-config',
      '-display',
      'none',
      '-no-reboot',
      '-debugcon',
      'file:port-e9',
      '-device',
      'isa-debug-exit,iobase=0xf4,iosize=4',
      '-drive',
      `file=${DISK},format=raw,if=ide,cache=unsafe`,
    ],
    debugPort: 'port-e9',
  };
}
