/**
 * A 16550A UART that is always ready to send and never receives: enough for a kernel's early console.
 * National Semiconductor PC16550D data sheet, table II.
 */
import type { PortDevice } from './ports.ts';

/** COM1. */
export const COM1 = 0x3f8;
const UART_PORTS = 8;

const DATA = 0;
const INTERRUPT_ENABLE = 1;
const INTERRUPT_ID = 2;
const LINE_CONTROL = 3;
const MODEM_CONTROL = 4;
const LINE_STATUS = 5;
const MODEM_STATUS = 6;
const SCRATCH = 7;

const DIVISOR_LATCH = 0x80;
const NO_INTERRUPT_PENDING = 0x01;
const FIFOS_ENABLED = 0xc0;
/** Transmitter holding register and transmitter empty. */
const READY_TO_SEND = 0x60;
/** Carrier detect, data set ready, clear to send. */
const MODEM_READY = 0xb0;

export class Uart implements PortDevice {
  readonly name = 'uart';
  readonly first: number;
  readonly count = UART_PORTS;
  readonly #send: (byte: number) => void;
  readonly #registers = new Uint8Array(UART_PORTS);
  readonly #divisor = new Uint8Array(2);
  #fifos = false;

  constructor(first: number, send: (byte: number) => void) {
    this.first = first;
    this.#send = send;
  }

  read(offset: number): number {
    switch (offset) {
      case DATA:
        return this.#latched ? (this.#divisor[0] ?? 0) : 0;
      case INTERRUPT_ENABLE:
        return this.#latched ? (this.#divisor[1] ?? 0) : (this.#registers[INTERRUPT_ENABLE] ?? 0);
      case INTERRUPT_ID:
        return NO_INTERRUPT_PENDING | (this.#fifos ? FIFOS_ENABLED : 0);
      case LINE_STATUS:
        return READY_TO_SEND;
      case MODEM_STATUS:
        return MODEM_READY;
      default:
        return this.#registers[offset] ?? 0;
    }
  }

  write(offset: number, value: number): void {
    switch (offset) {
      case DATA:
        if (this.#latched) this.#divisor[0] = value;
        else this.#send(value);
        break;
      case INTERRUPT_ENABLE:
        if (this.#latched) this.#divisor[1] = value;
        else this.#registers[INTERRUPT_ENABLE] = value & 0x0f;
        break;
      case INTERRUPT_ID:
        this.#fifos = (value & 1) !== 0;
        break;
      case LINE_CONTROL:
      case MODEM_CONTROL:
      case SCRATCH:
        this.#registers[offset] = value;
        break;
      default:
        break;
    }
  }

  get #latched(): boolean {
    return ((this.#registers[LINE_CONTROL] ?? 0) & DIVISOR_LATCH) !== 0;
  }
}
