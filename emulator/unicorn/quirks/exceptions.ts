/** The real error code of an exception, and a CPU that is ready for the next one. */
import type { ContextBlob, Unicorn } from '../api.ts';
import type { Calibration } from './calibration.ts';

/**
 * Unicorn's interrupt hook never clears `old_exception` (upstream issues 578 and 1883): the next contributory fault
 * would come as a double fault, and the one after it as a silent stop. No API returns the error code.
 */
export class ExceptionLatch {
  readonly #context: ContextBlob;
  readonly #calibration: Calibration;

  constructor(uc: Unicorn, calibration: Calibration) {
    this.#context = uc.contextAlloc();
    this.#calibration = calibration;
  }

  /**
   * To be called after each run that the interrupt hook ended, before anything else is done to the CPU.
   *
   * @returns what the exception pushed as its error code; meaningless for vectors that push none
   */
  take(): number {
    this.#context.save();
    const view = viewOf(this.#context);
    const errorCode = view.getUint32(this.#calibration.errorCode, true);
    view.setInt32(this.#calibration.oldException, -1, true);
    this.#context.restore();
    return errorCode;
  }

  free(): void {
    this.#context.free();
  }
}

/** Good until the next call into the engine. */
export function viewOf(context: ContextBlob): DataView {
  const bytes = context.bytes();
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
