/** As much of GDB's remote serial protocol as a guest that is stopped at one address needs (GDB manual, appendix E). */
import { createConnection, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface GdbRemote {
  /** Runs until the instruction at `address` is the next one. @returns false when the guest ended before. */
  runTo(address: number): Promise<boolean>;
  /** Runs one instruction: from a breakpoint, the guest does not get away otherwise. */
  step(): Promise<void>;
  /** Guest memory, by linear addresses. */
  read(address: number, size: number): Promise<Uint8Array>;
  /** The answer of QEMU's monitor. */
  monitor(command: string): Promise<string>;
  close(): void;
}

/** QEMU answers to more than this, and rounds what it is asked for to whole packets. */
const READ_SIZE = 1024;
const CONNECT_ATTEMPTS = 200;
const CONNECT_PAUSE_MS = 50;

/** @param path of QEMU's socket, which may not be there yet. */
export async function connectGdb(path: string): Promise<GdbRemote> {
  const packets = new Packets(await connect(path));
  const ask = async (text: string): Promise<string> => {
    packets.send(text);
    return packets.next();
  };
  return {
    async runTo(address) {
      const breakpoint = `1,${address.toString(16)},1`;
      expectOk(await ask(`Z${breakpoint}`), 'the breakpoint');
      const answer = await ask('c');
      if (!answer.startsWith('T05')) return false;
      expectOk(await ask(`z${breakpoint}`), 'the end of the breakpoint');
      return true;
    },
    async step() {
      const answer = await ask('s');
      if (!answer.startsWith('T05')) throw new Error(`QEMU does not step: ${answer}`);
    },
    async read(address, size) {
      const bytes = new Uint8Array(size);
      for (let at = 0; at < size; at += READ_SIZE) {
        const length = Math.min(READ_SIZE, size - at);
        const answer = await ask(`m${(address + at).toString(16)},${length.toString(16)}`);
        if (answer.startsWith('E') || answer.length !== length * 2)
          throw new Error(`memory at 0x${(address + at).toString(16)}: ${answer}`);
        bytes.set(Buffer.from(answer, 'hex'), at);
      }
      return bytes;
    },
    async monitor(command) {
      packets.send(`qRcmd,${Buffer.from(command).toString('hex')}`);
      let text = '';
      for (;;) {
        const answer = await packets.next();
        if (answer === 'OK') return text;
        if (!answer.startsWith('O')) throw new Error(`monitor ${command}: ${answer}`);
        text += Buffer.from(answer.slice(1), 'hex').toString();
      }
    },
    close: () => packets.close(),
  };
}

function expectOk(answer: string, what: string): void {
  if (answer !== 'OK') throw new Error(`QEMU refuses ${what}: ${answer || 'an empty answer'}`);
}

/** `$text#checksum`, each with a `+` from the other side. */
class Packets {
  readonly #socket: Socket;
  readonly #arrived: string[] = [];
  #buffer = '';
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (data: string) => {
      this.#buffer += data;
      this.#cut();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#ended = true;
      this.#wake?.();
    });
  }

  #cut(): void {
    for (;;) {
      const found = /\$([^#]*)#[0-9a-f]{2}/.exec(this.#buffer);
      if (!found) return;
      this.#buffer = this.#buffer.slice(found.index + found[0].length);
      this.#socket.write('+');
      this.#arrived.push(found[1] ?? '');
      this.#wake?.();
    }
  }

  send(text: string): void {
    const sum = [...text].reduce((total, char) => (total + char.charCodeAt(0)) & 0xff, 0);
    this.#socket.write(`$${text}#${sum.toString(16).padStart(2, '0')}`);
  }

  async next(): Promise<string> {
    for (;;) {
      const packet = this.#arrived.shift();
      if (packet !== undefined) return packet;
      if (this.#ended) throw new Error('QEMU closed the connection');
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}

async function connect(path: string): Promise<Socket> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await new Promise<Socket>((resolve, reject) => {
        const socket = createConnection(path, () => resolve(socket));
        socket.once('error', reject);
      });
    } catch (error) {
      if (attempt >= CONNECT_ATTEMPTS) throw error;
      await sleep(CONNECT_PAUSE_MS);
    }
  }
}
