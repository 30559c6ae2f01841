/** What both bindings do with callbacks: C calls one function of ours per kind of hook, and its `user` says whose it is. */
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

/**
 * An error thrown in a callback must not travel through the engine's frames: it ends the run, and is thrown again when
 * the run is over.
 */
export class CallbackErrors {
  readonly #stop: () => void;
  #first: { readonly error: unknown } | undefined;

  /** @param stop ends the run */
  constructor(stop: () => void) {
    this.#stop = stop;
  }

  /** A run begins. */
  clear(): void {
    this.#first = undefined;
  }

  /** The run is over. */
  rethrow(): void {
    if (this.#first) throw this.#first.error;
  }

  catch(error: unknown): void {
    this.#first ??= { error };
    this.#stop();
  }

  /** @param failed what C gets when the callback throws */
  guarded<A extends unknown[], R>(callback: (...args: A) => R, failed: R): (...args: A) => R {
    return (...args) => {
      try {
        return callback(...args);
      } catch (error) {
        this.catch(error);
        return failed;
      }
    };
  }
}
