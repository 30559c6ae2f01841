/** What the last full runs found. Written down by hand from the reports of `npm run oracle`. */

export interface Figures {
  readonly seed: number;
  readonly cases: number;
  /** Agree in both engines and in those of QEMU and Bochs that run them: see `without` of a case. */
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
    agree: 54275,
    agreeWithQemu: 53847,
    onQemu: 63561,
    agreeWithBochs: 63166,
    onBochs: 63832,
  },
  {
    seed: 2,
    cases: 16000,
    agree: 13512,
    agreeWithQemu: 13412,
    onQemu: 15897,
    agreeWithBochs: 15763,
    onBochs: 15950,
  },
];
