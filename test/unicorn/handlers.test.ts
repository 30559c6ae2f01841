/** What both bindings do with callbacks of the engine. */
import { describe, expect, it } from 'vitest';
import { CallbackErrors, Handlers } from '../../emulator/unicorn/handlers.ts';

describe('handlers', () => {
  it('are found by the number that the engine hands back, and a number is used again after it was given up', () => {
    const handlers = new Handlers<() => string>();
    const [a, b] = [handlers.add(() => 'a'), handlers.add(() => 'b')];
    expect([handlers.get(a)?.(), handlers.get(b)?.()]).toEqual(['a', 'b']);
    handlers.remove(a);
    expect(handlers.get(a)).toBeUndefined();
    expect(handlers.add(() => 'c')).toBe(a);
    expect([handlers.get(a)?.(), handlers.get(b)?.()]).toEqual(['c', 'b']);
  });
});

describe('an error thrown in a callback', () => {
  const first = new Error('first');

  it('goes no further than the callback: the engine gets a value, and is stopped', () => {
    let stops = 0;
    const errors = new CallbackErrors(() => stops++);
    const callback = errors.guarded((value: number) => {
      if (value > 1) throw first;
      return value;
    }, 0);
    expect([callback(1), stops]).toEqual([1, 0]);
    expect([callback(2), stops]).toEqual([0, 1]);
  });

  it('is thrown when the run is over, the first of several, and no more in the next run', () => {
    const errors = new CallbackErrors(() => {});
    expect(() => errors.rethrow()).not.toThrow();
    errors.catch(first);
    errors.catch(new Error('second'));
    expect(() => errors.rethrow()).toThrow(first);
    errors.clear();
    expect(() => errors.rethrow()).not.toThrow();
  });
});
