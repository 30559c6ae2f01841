/**
 * What both bindings do with callbacks: C calls one function of ours per kind of hook, and its `user` argument says
 * whose it is. An error thrown in a callback must not travel through the engine's frames: it ends the run, and is
 * thrown again when the run is over.
 */
export class Handlers<F extends (...args: never[]) => unknown> {
  readonly #list: (F | undefined)[] = [];

  add(handler: F): number {
    const free = this.#list.indexOf(undefined);
    const index = free < 0 ? this.#list.length : free;
    this.#list[index] = handler;
    return index;
  }

  remove(index: number): void {
    this.#list[index] = undefined;
  }

  get(index: number): F | undefined {
    return this.#list[index];
  }
}
