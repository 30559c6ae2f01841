/** MOV to and from debug registers: SDM vol. 2, MOV—Move to/from Debug Registers; vol. 3, 17.2. */
import { CR4_DE } from '../control-bits.ts';
import { findRule } from '../privilege/index.ts';
import {
  answered,
  generalProtection,
  INVALID_OPCODE,
  RUN,
  type Situation,
  stop,
  type Verdict,
} from './verdict.ts';

const DEBUG = 1;
/** SDM vol. 3, 17.2.3: Debug Register Access Detected. */
const DR6_BD = 1 << 13;
/** SDM vol. 3, 17.2.4: General Detect. */
const DR7_GD = 1 << 13;
/**
 * L0 to L3 and G0 to G3. libunicorn 2.1.1 ends the process at an execution breakpoint, and the engines disagree about the
 * others (quirk `hardware-breakpoints`). SDM vol. 3, 17.2.4.
 */
const DR7_ENABLES = 0xff;
/** What can be set in DR6 and DR7, and what always is; RTM is not there. SDM vol. 3, figure 17-1. */
const DR6_BITS = 0x0000e00f;
const DR6_ONES = 0xffff0ff0;
const DR7_BITS = 0xffff23ff;
const DR7_ONES = 0x00000400;

const dr6 = (value: number): number => ((value & DR6_BITS) | DR6_ONES) >>> 0;
const dr7 = (value: number): number => ((value & DR7_BITS) | DR7_ONES) >>> 0;

/** DR4 and DR5 are not there with CR4.DE; without it they are DR6 and DR7, which unicorn.js does not know. */
export function debugRegister(s: Situation, id: 'mov-to-dr' | 'mov-from-dr'): Verdict {
  const { systemRegister = 0, generalRegister } = s.instruction;
  const isAlias = systemRegister === 4 || systemRegister === 5;
  if (isAlias && (s.cpu.control.cr4 & CR4_DE) !== 0) {
    return stop({ kind: 'invalid-opcode' }, { vector: INVALID_OPCODE });
  }
  if (findRule(id)?.applies(s.state)) {
    return stop({ kind: 'privileged-instruction', rule: id }, generalProtection(0));
  }
  const control = s.debug?.(7) ?? DR7_ONES;
  if ((control & DR7_GD) !== 0) return detected(s, control);
  if (systemRegister < 4 || generalRegister === undefined) return RUN;
  const index = (systemRegister | 2) as 6 | 7;
  if (id === 'mov-from-dr') {
    const value = index === 6 ? dr6(s.debug?.(6) ?? DR6_ONES) : dr7(control);
    return answered({ registers: { [generalRegister]: value } });
  }
  const value = s.cpu.registers[generalRegister];
  if (index === 7 && (value & DR7_ENABLES) !== 0) {
    const detail = `DR7 is set to 0x${value.toString(16).padStart(8, '0')}, which arms a breakpoint`;
    return stop({ kind: 'engine-limit', limit: 'hardware-breakpoint', detail });
  }
  return answered({ debug: index === 6 ? { dr6: dr6(value) } : { dr7: dr7(value) } });
}

/** #DB before the access; the CPU clears GD so that the handler can look. */
function detected(s: Situation, control: number): Verdict {
  const status = s.debug?.(6) ?? DR6_ONES;
  return {
    type: 'stop',
    cause: { kind: 'exception' },
    exception: { vector: DEBUG },
    effect: { eip: s.cpu.eip, debug: { dr6: dr6(status | DR6_BD), dr7: dr7(control & ~DR7_GD) } },
  };
}
