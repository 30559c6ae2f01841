/**
 * `lguest`: what its host does at a trap of ring 1. Linux drivers/lguest/x86/core.c, lguest_arch_handle_trap and
 * emulate_insn, 2.6.23 to 4.13; from 2.6.39 on in part tools/lguest/lguest.c, emulate_insn.
 */
import type { DecodedInstruction } from '../../../emulator/decode/instruction.ts';
import type { Stop } from '../../../emulator/stop.ts';
import { compareVersions } from '../../lguest/eras.ts';
import {
  type Answer,
  type AnswerContext,
  cited,
  emulated,
  ended,
  killed,
  passed,
  type Respond,
  skipped,
  unanswered,
} from '../answer.ts';
import { decode, mergeLow } from '../instruction.ts';

const EMULATE_INSN = 'Linux drivers/lguest/x86/core.c, emulate_insn';
const LAUNCHER = 'Linux 4.13 tools/lguest/lguest.c, emulate_insn';
const HANDLE_TRAP = 'Linux drivers/lguest/x86/core.c, lguest_arch_handle_trap';
const OPERAND_SIZE_PREFIX = 0x66;
/** E4 E5 EC ED; E6 E7 EE EF; FA. */
const IN: ReadonlySet<number> = new Set([0xe4, 0xe5, 0xec, 0xed]);
const OUT: ReadonlySet<number> = new Set([0xe6, 0xe7, 0xee, 0xef]);
const CLI = 0xfa;
/** The keyboard controller's status, and what the launcher answers. */
const KEYBOARD_STATUS = 0x64;
const PCI_CONFIG_FIRST = 0xcf8;
const PCI_CONFIG_LAST = 0xcff;
const ALL_ONES = 0xffffffff;
/** Since commit 5094aeafbbd; since then AL alone; since then the launcher decodes. */
const CLI_SINCE = '2.6.34';
const BYTES_SINCE = '2.6.39';
const LAUNCHER_SINCE = '4.0';

const NO_HANDLER =
  'reflects it as vector 13 to the guest, which has set no handler: "unhandled trap", and it kills the guest.';

/** EAX after `in`. */
function portRead(
  stop: Stop,
  { portSize }: DecodedInstruction,
  port: number,
  prefixed: boolean,
  { era }: AnswerContext,
): number {
  const { eax } = stop.cpu.registers;
  if (compareVersions(era, LAUNCHER_SINCE) >= 0)
    return mergeLow(eax, port === KEYBOARD_STATUS ? 1 : ALL_ONES, portSize);
  if (compareVersions(era, BYTES_SINCE) >= 0) return mergeLow(eax, ALL_ONES, portSize);
  if (portSize !== 1) return ALL_ONES;
  return (eax | (prefixed ? 0xffff0000 : 0xffff)) >>> 0;
}

function emulate(stop: Stop, context: AnswerContext): Answer | undefined {
  const decoded = decode(stop);
  const bytes = stop.instruction?.bytes ?? new Uint8Array(0);
  const prefixed = bytes[0] === OPERAND_SIZE_PREFIX;
  const opcode = bytes[prefixed ? 1 : 0] ?? 0;
  const { era } = context;
  const launcher = compareVersions(era, LAUNCHER_SINCE) >= 0;
  const source = launcher ? LAUNCHER : EMULATE_INSN;
  if (!decoded || stop.exception?.errorCode !== 0 || stop.cpu.cpl !== 1) return undefined;
  const port = decoded.immediatePort ? decoded.immediate & 0xff : stop.cpu.registers.edx & 0xffff;
  if (launcher && (IN.has(opcode) || OUT.has(opcode)) && port >= PCI_CONFIG_FIRST && port <= PCI_CONFIG_LAST)
    return unanswered("The launcher's PCI configuration space answers, which startup32 does not have.");
  if (IN.has(opcode)) {
    const eax = portRead(stop, decoded, port, prefixed, context);
    return cited(
      emulated('lguest answers as an empty bus does, and steps over it.', { registers: { eax } }),
      source,
    );
  }
  if (OUT.has(opcode))
    return cited(emulated('lguest ignores what is written, and steps over it.', {}), source);
  if (opcode === CLI && compareVersions(era, CLI_SINCE) >= 0)
    return cited(skipped('lguest steps over it; interrupts stay as they are.'), `${source} (from 2.6.34 on)`);
  return undefined;
}

export const lguest: Respond = (stop, context): Answer => {
  switch (stop.kind) {
    case 'privileged-instruction':
    case 'iopl-sensitive-instruction':
      return (
        emulate(stop, context) ?? cited(killed(`lguest does not emulate it and ${NO_HANDLER}`), EMULATE_INSN)
      );
    case 'segment-load':
      if (!stop.exception) return passed('Nothing traps: the CPU goes on.');
      return cited(killed(`lguest ${NO_HANDLER}`), HANDLE_TRAP);
    case 'popf':
    case 'iret':
    case 'sensitive':
      return passed('Nothing traps: lguest never hears of it, and the flag keeps its value.');
    case 'hypercall':
      return unanswered('startup32 has no lguest host that answers hypercalls.');
    case 'halt':
      return ended('The kernel halts, and no interrupt comes here.');
    case 'page-fault':
      return cited(
        killed(
          'The guest maps nothing there: lguest reflects vector 14 to it, finds no handler and kills the guest.',
        ),
        HANDLE_TRAP,
      );
    case 'long-mode':
    case 'memory-hole':
    case 'rom-write':
    case 'loader-memory':
      return unanswered('lguest gives the guest no such memory.');
    case 'shutdown':
      return ended('The guest has no handler.');
    default:
      return stop.exception
        ? cited(
            killed(
              `lguest reflects vector ${stop.exception.vector} to the guest, which has set no handler, and kills it.`,
            ),
            HANDLE_TRAP,
          )
        : unanswered('The run ended for a reason of its own.');
  }
};
