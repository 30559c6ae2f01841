/** Virtual time: the time-stamp counter and random numbers of a run, from its instruction count and nothing else. */

export interface VirtualClock {
  /**
   * One instruction is one tick.
   *
   * @param instructions retired so far
   */
  tsc(instructions: number): bigint;
}

export const createClock = (): VirtualClock => ({ tsc: instructions => BigInt(instructions) });

/** A SplitMix generator with MurmurHash3's finalizer: 32 bits a call, from one seed. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
}
