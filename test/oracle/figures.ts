/** What the last full runs found. Written down by hand from the reports of `npm run oracle`. */

export interface Figures {
  readonly seed: number;
  readonly cases: number;
  /** Agree in both engines, QEMU and Bochs. */
  readonly agree: number;
  /** On both engines. */
  readonly agreeWithQemu: number;
  readonly agreeWithBochs: number;
  /** Cases that are run on QEMU and Bochs. */
  readonly onQemu: number;
  readonly onBochs: number;
}

export const DATE = '20 November 2026';

export const FIGURES: readonly Figures[] = [
  {
    seed: 1,
    cases: 64000,
    agree: 54234,
    agreeWithQemu: 53806,
    onQemu: 63561,
    agreeWithBochs: 63227,
    onBochs: 63893,
  },
  {
    seed: 2,
    cases: 16000,
    agree: 13502,
    agreeWithQemu: 13402,
    onQemu: 15897,
    agreeWithBochs: 15793,
    onBochs: 15980,
  },
];
