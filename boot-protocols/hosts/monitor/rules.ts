/**
 * A classic trap-and-emulate monitor (Popek and Goldberg, CACM 17(7), 1974) with ring compression: the kernel runs in
 * ring 1 or 3 and believes that it is in ring 0. It sees what traps, and nothing else.
 */
import { forRules, type HostExceptionName } from '../exception.ts';
import type { Host, HostAnswer } from '../host.ts';

const THEOREM = 'Popek and Goldberg, CACM 17(7), 1974';
const SILENT_17 = 'Robin and Irvine, USENIX Security 2000';

const emulates = (sentence: string): HostAnswer => ({ does: 'emulate', sentence, citation: THEOREM });
const unseen = (sentence: string): HostAnswer => ({ does: 'unseen', sentence, citation: SILENT_17 });

const reflected = ({ mnemonic }: HostExceptionName): HostAnswer => ({
  does: 'reflect',
  sentence: `The virtual CPU raises ${mnemonic} here as well: the monitor enters the handler in the guest's own IDT.`,
  citation: THEOREM,
});

/** No virtual CPU here has the extension, so that its own ring 0 gets #UD. */
const ABSENT: HostAnswer = {
  does: 'reflect',
  sentence:
    "The virtual CPU does not have it and raises #UD at any CPL: the monitor enters the handler in the guest's own IDT.",
  citation: THEOREM,
};

const HIDDEN = unseen(
  "The monitor never hears of it: the guest sees the monitor's own table, and not the one that it has loaded.",
);
const JUDGED = unseen(
  'The monitor never hears of it: the answer is for the ring that the guest really runs in and for the shadow of its GDT.',
);
const LOADED = unseen(
  "The monitor never hears of it while the shadow of the guest's GDT has a descriptor that the real ring may load; what the CPU refuses traps, and the monitor does it or hands the fault on.",
);
const SHOWN = unseen(
  'The monitor never hears of it: the RPL of CS and SS shows the ring that the guest really runs in.',
);

const ANSWERS: Readonly<Record<string, HostAnswer>> = {
  lgdt: emulates(
    "The monitor keeps the guest's GDTR and loads a shadow of its table, with every DPL 0 raised to the guest's real ring.",
  ),
  lldt: emulates("The monitor keeps the guest's LDT selector and loads a shadow of its LDT."),
  ltr: emulates("The monitor keeps the guest's task register, and takes the stacks of its TSS from then on."),
  lidt: emulates("The monitor keeps the guest's IDTR, and hands exceptions on by that table from then on."),
  'mov-to-cr': emulates(
    "The monitor keeps the guest's control register; a change of CR0.PG or CR3 changes its shadow page tables.",
  ),
  'mov-from-cr': emulates('The guest reads the control register that the monitor keeps for it.'),
  lmsw: emulates("The monitor changes the low half of the guest's CR0."),
  clts: emulates("The monitor clears TS of the guest's CR0."),
  'mov-to-dr': emulates("The monitor keeps the guest's debug register."),
  'mov-from-dr': emulates('The guest reads the debug register that the monitor keeps for it.'),
  invd: emulates('The monitor writes the caches back instead: they hold the data of the whole machine.'),
  wbinvd: emulates('The monitor writes the caches back, or does nothing where the guest has no device.'),
  invlpg: emulates('The monitor drops the page from its shadow page tables.'),
  hlt: emulates('The monitor runs something else until the guest has an interrupt.'),
  rdmsr: emulates('The guest reads the MSR that the monitor keeps for it.'),
  wrmsr: emulates("The monitor keeps the guest's MSR."),
  xsetbv: emulates("The monitor keeps the guest's XCR0."),
  sysexit: emulates("The monitor goes to the guest's ring 3, as its own MSRs say."),
  rdpmc: emulates('The guest reads the counter that the monitor keeps for it.'),
  rdtsc: emulates('Where the monitor sets CR4.TSD it traps, and the guest reads a time of its own.'),
  monitor: emulates('The monitor passes over it: MWAIT then ends at once, which is allowed at any time.'),
  mwait: emulates('The monitor goes on behind it, or runs something else until the guest has an interrupt.'),
  clac: emulates("The monitor clears AC of the guest's EFLAGS."),
  stac: emulates("The monitor sets AC of the guest's EFLAGS."),
  ...forRules(['mov-test-register', 'rsm', 'vmcall', 'vmmcall', 'vmx', 'vmfunc', 'svm'], reflected),
  ...forRules(['syscall', 'sysret'], reflected),
  ...forRules(['invpcid', 'xsaves', 'xrstors', 'getsec', 'encls', 'vmxon'], () => ABSENT),
  cli: emulates("The monitor clears the guest's own IF; the real one stays 1."),
  sti: emulates("The monitor sets the guest's own IF, and delivers what waits for it."),
  ...forRules(['in', 'ins'], () => emulates('The guest reads from a device that the monitor plays.')),
  ...forRules(['out', 'outs'], () => emulates('The guest writes to a device that the monitor plays.')),
  ...forRules(['sgdt', 'sidt'], () => HIDDEN),
  sldt: unseen('The monitor never hears of it: the guest sees the selector that the monitor has loaded.'),
  str: unseen('The monitor never hears of it: the guest sees the selector that the monitor has loaded.'),
  smsw: unseen(
    'The monitor never hears of it: the guest sees the real CR0, with paging on when its own is off.',
  ),
  pushf: unseen(
    'The monitor never hears of it: the guest sees the real IF, which is always 1, and not its own.',
  ),
  ...forRules(['popf', 'iret'], () =>
    unseen(
      "The monitor never hears of it: the guest's own IF stays as it was, although the guest believes that it has changed.",
    ),
  ),
  ...forRules(['lar', 'lsl', 'verr', 'verw'], () => JUDGED),
  ...forRules(
    ['pop-segment', 'mov-to-segment', 'load-far-pointer', 'far-jump', 'far-call', 'far-return'],
    () => LOADED,
  ),
  ...forRules(['push-segment', 'mov-from-segment'], () => SHOWN),
  int: {
    does: 'reflect',
    sentence:
      "The monitor's own gates have DPL 0, so that it is #GP(vector * 8 + 2): the monitor enters the handler in the guest's own IDT, if the DPL of that gate allows it.",
    citation: THEOREM,
  },
  'task-switch': emulates(
    'The shadow of the GDT has no TSS and no task gate: the selector is #GP(selector), and the monitor switches the task itself.',
  ),
  sysenter: emulates(
    "The monitor leaves the real IA32_SYSENTER_CS 0, so that it is #GP(0), and goes to the guest's ring 0 as its own MSRs say.",
  ),
  cpuid: {
    ...unseen('The monitor never hears of it: the guest sees the real CPU and may use what it is not given.'),
    citation: 'SDM vol. 2, CPUID',
  },
  xgetbv: {
    ...unseen('The monitor never hears of it: the guest sees the real XCR0.'),
    citation: 'SDM vol. 2, XGETBV',
  },
};

const UMIP = 'SDM vol. 3, 2.5, CR4.UMIP';

/** With CR4.UMIP set they are privileged after all: SDM vol. 3, 2.5. */
const FAULTS: Readonly<Record<string, HostAnswer>> = {
  ...forRules(['sgdt', 'sidt'], () => ({
    ...emulates('CR4.UMIP makes it trap: the monitor stores the table register that the guest has loaded.'),
    citation: UMIP,
  })),
  ...forRules(['sldt', 'str'], () => ({
    ...emulates('CR4.UMIP makes it trap: the monitor stores the selector that the guest has loaded.'),
    citation: UMIP,
  })),
  ...forRules(['smsw'], () => ({
    ...emulates("CR4.UMIP makes it trap: the monitor stores the low half of the guest's own CR0."),
    citation: UMIP,
  })),
};

export const MONITOR_HOST: Host = {
  name: 'monitor',
  summary: 'a classic trap-and-emulate monitor with ring compression',
  answers: Object.fromEntries(Object.entries(ANSWERS).map(([rule, answer]) => [rule, [answer]])),
  faults: FAULTS,
  fault: reflected,
};
