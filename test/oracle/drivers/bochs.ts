/**
 * Bochs 2.7, from the Debian packages `bochs`, `bochs-term`, `bochsbios` and `vgabios`, with its term display and its debugger, which the Debian build has: the debugger continues by a command file, and
 * no terminal is needed when the output is a file. The bytes of port 0xE9 come out on the standard output, after some text
 * of the program's own.
 */
import { CYLINDER, HEADS, MEMORY, SECTORS_PER_TRACK } from '../image/build.ts';
import { type Command, DISK } from './process.ts';

/**
 * Ice Lake, as CPUID says it: VME and PVI, DE, PSE, TSC, PAE, PGE, SEP, MSR, MTRR, FXSR, SSE to SSE4.2, AVX-512, XSAVE,
 * MONITOR, RDRAND, RDTSCP, NX, FSGSBASE, PCID, SMEP, SMAP, PKU, UMIP, VMX (CR4.VMXE can be set). IA32_FEATURE_CONTROL is 5: locked,
 * VMX outside SMX allowed. A write of a reserved bit to CR4 raises #GP(0).
 */
const MODEL = 'corei7_icelake_u';

export function bochsCommand(diskBytes: number): Command {
  const geometry = `cylinders=${diskBytes / CYLINDER}, heads=${HEADS}, spt=${SECTORS_PER_TRACK}`;
  return {
    program: 'bochs-bin',
    arguments: ['-q', '-f', 'configuration', '-rc', 'commands'],
    files: {
      commands: 'c\nquit\n',
      configuration: [
        `megs: ${MEMORY >>> 20}`,
        'romimage: file=/usr/share/bochs/BIOS-bochs-latest',
        'vgaromimage: file=/usr/share/vgabios/vgabios.bin',
        `cpu: model=${MODEL}, count=1, ips=50000000, reset_on_triple_fault=0`,
        `ata0-master: type=disk, path=${DISK}, mode=flat, ${geometry}`,
        'boot: disk',
        'port_e9_hack: enabled=1',
        'clock: sync=none, time0=1',
        'log: log',
        'panic: action=fatal',
        'error: action=ignore',
        'info: action=ignore',
        'display_library: term',
        '',
      ].join('\n'),
    },
  };
}
