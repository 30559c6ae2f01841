/** The part of `seek-bzip` 2.0.0 that bzip2.ts uses. It ships no types of its own. */
declare module 'seek-bzip' {
  interface Source {
    readByte(): number;
    read(buffer: Uint8Array, offset: number, length: number): number;
  }
  interface Sink {
    writeByte(byte: number): void;
  }
  const Bunzip: {
    /** @throws {TypeError} with a negative `errorCode` for data that is no bzip2 data, and what source and sink throw */
    decode(source: Source, sink: Sink): void;
  };
  export default Bunzip;
}
