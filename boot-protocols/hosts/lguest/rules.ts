/** lguest under a guest in ring 1, by rule and era: Linux 2.6.23, the first with it, to 4.13, the last. */
import { PRIVILEGE_RULES } from '../../../emulator/privilege/index.ts';
import { forRules, type HostExceptionName } from '../exception.ts';
import type { Host, HostAnswer } from '../host.ts';

const EMULATE_INSN = 'Linux 4.13 tools/lguest/lguest.c, emulate_insn';
const HANDLE_TRAP = 'Linux 4.13 drivers/lguest/x86/core.c, lguest_arch_handle_trap';
const IN_HOST = 'Linux 3.18 drivers/lguest/x86/core.c, emulate_insn';
const SEGMENTS = 'Linux 4.13 drivers/lguest/segments.c';
const INTERRUPTS = 'Linux 4.13 drivers/lguest/interrupts_and_traps.c';

/** No handler is set before the kernel's first LHCALL_LOAD_IDT_ENTRY. */
const reflected = ({ mnemonic, vector }: HostExceptionName): HostAnswer => ({
  does: 'reflect',
  sentence: `lguest does not emulate this: it hands ${mnemonic} to the guest's own handler, and before the guest has set one the host kills it ("unhandled trap ${vector}").`,
  citation: HANDLE_TRAP,
});

const unseen = (sentence: string, citation: string): HostAnswer => ({ does: 'unseen', sentence, citation });

const VIA_TRAP_ENTRY: HostAnswer = {
  does: 'reflect',
  sentence:
    'lguest takes hypercalls by int $0x1f and hands this #UD to the guest\'s own handler; before the guest has set one the host kills it ("unhandled trap 6"). Only hosts of Linux 2.6.30 to 2.6.33 rewrite vmcall as int $0x1f.',
  citation: HANDLE_TRAP,
};

/** The first version that rewrites vmcall, and the last; cli since 2.6.34-rc5; AL alone since 2.6.39; the launcher since 4.0. */
const VMCALL_SINCE = '2.6.30';
const VMCALL_UNTIL = '2.6.33';
const BEFORE_VMCALL = '2.6.29';
const CLI_SINCE = '2.6.34';
const BEFORE_CLI = '2.6.33';
const BYTES_SINCE = '2.6.39';
const BEFORE_BYTES = '2.6.38';
const LAUNCHER_SINCE = '4.0';
const BEFORE_LAUNCHER = '3.19';

const DROPPED = unseen(
  "The CPU goes on without a fault and without the change: lguest never hears of it. The real IF stays 1; lguest keeps the guest's own in lguest_data.irq_enabled.",
  'SDM vol. 2, POPF and IRET; Linux 4.13 include/linux/lguest.h',
);

const table = (name: string, citation: string): HostAnswer =>
  unseen(`lguest never hears of it: the guest sees the ${name} that the host has built for it.`, citation);

const LOADED = unseen(
  'lguest never hears of it while the selector is one that the host put into the GDT, with DPL 0 raised to 1; one that the CPU refuses is #GP(selector), which the host hands to the guest.',
  `${SEGMENTS}, fixup_gdt_table`,
);

const GATE_CLOSED =
  "The gate is not open to ring 1: the CPU raises #GP with the vector in its error code, and lguest hands that to the guest's handler for vector 13; without one the host kills the guest.";

const PRIVILEGED = PRIVILEGE_RULES.filter(rule => rule.class === 'privileged').map(rule => rule.id);

const ANSWERS: Readonly<Record<string, HostAnswer | readonly HostAnswer[]>> = {
  ...forRules(PRIVILEGED, reflected),
  ...forRules(['sti', 'ins', 'outs'], reflected),
  vmmcall: VIA_TRAP_ENTRY,
  vmcall: [
    { ...VIA_TRAP_ENTRY, until: BEFORE_VMCALL },
    {
      does: 'emulate',
      sentence:
        'The host rewrites vmcall as int $0x1f in the memory of the guest and takes it as a hypercall from then on.',
      citation: 'Linux 2.6.30 drivers/lguest/x86/core.c, rewrite_hypercall',
      since: VMCALL_SINCE,
      until: VMCALL_UNTIL,
    },
    { ...VIA_TRAP_ENTRY, since: CLI_SINCE },
  ],
  cli: [
    {
      ...reflected({ mnemonic: '#GP', vector: 13 }),
      citation: 'Linux 2.6.33 drivers/lguest/x86/core.c, lguest_arch_handle_trap',
      until: BEFORE_CLI,
    },
    {
      does: 'skip',
      sentence:
        'lguest skips cli since Linux 2.6.34 (commit 5094aeafbbd) and the guest goes on; an older host kills it.',
      citation: EMULATE_INSN,
      since: CLI_SINCE,
    },
  ],
  in: [
    {
      does: 'emulate',
      sentence:
        'The host emulates in: every port reads as all ones, a read of one byte as all ones in AX. Linux 2.6.23 does so only at addresses from page_offset on, not in code that still runs below.',
      citation: 'Linux 2.6.23 drivers/lguest/core.c and 2.6.38 drivers/lguest/x86/core.c, emulate_insn',
      until: BEFORE_BYTES,
    },
    {
      does: 'emulate',
      sentence: 'The host emulates in: every port reads as all ones in AL, AX or EAX.',
      citation: IN_HOST,
      since: BYTES_SINCE,
      until: BEFORE_LAUNCHER,
    },
    {
      does: 'emulate',
      sentence:
        'lguest emulates in: a port that is not there reads as all ones, and the guest goes on (the launcher answers port 0x64 and PCI configuration).',
      citation: EMULATE_INSN,
      since: LAUNCHER_SINCE,
    },
  ],
  out: [
    {
      does: 'emulate',
      sentence: 'The host emulates out: the write is dropped, and the guest goes on.',
      citation: IN_HOST,
      until: BEFORE_LAUNCHER,
    },
    {
      does: 'emulate',
      sentence: 'lguest emulates out: outside PCI configuration the write is dropped, and the guest goes on.',
      citation: EMULATE_INSN,
      since: LAUNCHER_SINCE,
    },
  ],
  ...forRules(['popf', 'iret'], () => DROPPED),
  pushf: unseen(
    'lguest never hears of it: the guest sees the real flags, where IF is always 1, and not its lguest_data.irq_enabled.',
    'SDM vol. 2, PUSHF; Linux 4.13 include/linux/lguest.h',
  ),
  sgdt: table('GDT', `SDM vol. 2, SGDT; ${SEGMENTS}`),
  sidt: table('IDT', `SDM vol. 2, SIDT; ${INTERRUPTS}`),
  sldt: unseen(
    'lguest never hears of it: the guest sees a null selector, for it has no LDT.',
    `SDM vol. 2, SLDT; ${SEGMENTS}`,
  ),
  str: unseen("lguest never hears of it: the guest sees the selector of the host's TSS.", 'SDM vol. 2, STR'),
  smsw: unseen('lguest never hears of it: the guest sees the real CR0.', 'SDM vol. 2, SMSW'),
  ...forRules(['lar', 'lsl', 'verr', 'verw'], () =>
    unseen(
      'lguest never hears of it: the answer is for ring 1 and for the GDT that the host has built.',
      `${SEGMENTS}, fixup_gdt_table`,
    ),
  ),
  ...forRules(
    ['pop-segment', 'mov-to-segment', 'load-far-pointer', 'far-jump', 'far-call', 'far-return'],
    () => LOADED,
  ),
  ...forRules(['push-segment', 'mov-from-segment'], () =>
    unseen(
      'lguest never hears of it: the guest sees RPL 1 in the selectors of its own ring-0 code.',
      'Linux 4.13 drivers/lguest/x86/core.c, lguest_arch_setup_regs',
    ),
  ),
  int: {
    does: 'reflect',
    sentence: `int $0x1f is the hypercall, and the system-call vector is open to ring 3. ${GATE_CLOSED}`,
    citation: INTERRUPTS,
  },
  'task-switch': {
    does: 'reflect',
    sentence:
      "The only TSS in the GDT is the host's own, with DPL 0: its selector is #GP(selector) in ring 1, which lguest hands to the guest's own handler.",
    citation: `${SEGMENTS}, ignored_gdt`,
  },
  sysenter: {
    does: 'reflect',
    sentence:
      'The host sets IA32_SYSENTER_CS to 0 while a guest runs: SYSENTER is #GP(0), which lguest hands to the guest\'s own handler, and before the guest has set one the host kills it ("unhandled trap 13").',
    citation: 'Linux 4.13 drivers/lguest/x86/core.c, lguest_arch_run_guest',
  },
  cpuid: unseen(
    'lguest never hears of it: the guest sees the real CPU. A guest kernel asks by its own pv_cpu_ops.cpuid, which hides what lguest does not have.',
    'Linux 4.13 arch/x86/lguest/boot.c, lguest_cpuid',
  ),
  xgetbv: unseen('lguest never hears of it: the guest sees the real XCR0.', 'SDM vol. 2, XGETBV'),
};

/** What the host says of `int n` without its hypercall vector, for a Stop at one. */
export const LGUEST_GATE_CLOSED: HostAnswer = {
  does: 'reflect',
  sentence: GATE_CLOSED,
  citation: INTERRUPTS,
};

const isList = (answers: HostAnswer | readonly HostAnswer[]): answers is readonly HostAnswer[] =>
  Array.isArray(answers);

export const LGUEST_HOST: Host = {
  name: 'lguest',
  summary: 'lguest of Linux 2.6.23 to 4.13, whose guest kernel runs in ring 1',
  answers: Object.fromEntries(
    Object.entries(ANSWERS).map(([rule, answers]) => [rule, isList(answers) ? answers : [answers]]),
  ),
  fault: reflected,
};
