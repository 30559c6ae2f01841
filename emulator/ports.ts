/** The I/O port space. A port without a device reads as all ones and ignores writes, as an empty bus does. */

/** A device on byte ports `first` to `first + count - 1`. Wider accesses are split into bytes, lowest port first. */
export interface PortDevice {
  readonly name: string;
  readonly first: number;
  readonly count: number;
  /** @param offset from `first` */
  read(offset: number): number;
  write(offset: number, value: number): void;
}

export class PortBus {
  readonly #devices: readonly PortDevice[];

  constructor(devices: readonly PortDevice[]) {
    this.#devices = devices;
  }

  /** @returns `size` bytes, little-endian, unsigned */
  read(port: number, size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) {
      const device = this.#at(port + i);
      value |= (device ? device.read(port + i - device.first) & 0xff : 0xff) << (8 * i);
    }
    return value >>> 0;
  }

  write(port: number, size: number, value: number): void {
    for (let i = 0; i < size; i++) {
      const device = this.#at(port + i);
      device?.write(port + i - device.first, (value >>> (8 * i)) & 0xff);
    }
  }

  #at(port: number): PortDevice | undefined {
    return this.#devices.find(d => port >= d.first && port < d.first + d.count);
  }
}
