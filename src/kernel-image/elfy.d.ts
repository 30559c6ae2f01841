/** The part of `elfy` 1.0.0 that elf.ts uses. It ships no types of its own. */
declare module 'elfy' {
  interface Header {
    readonly entry: number;
    readonly phoff: number;
    readonly phnum: number;
    readonly phentsize: number;
    readonly shoff: number;
    readonly shnum: number;
    readonly shentsize: number;
    readonly shstrndx: number;
  }
  interface Program {
    readonly offset: number;
    readonly vaddr: number;
    readonly paddr: number;
    readonly filesz: number;
    readonly memsz: number;
    readonly align: number;
  }
  interface Section {
    /** Offset into the section name table. */
    readonly name: number;
    readonly addr: number;
    readonly off: number;
    readonly size: number;
    readonly link: number;
    readonly entsize: number;
  }
  class Parser {
    parseHeader(file: Buffer): Header;
    parsePrograms(file: Buffer, header: Header): Program[];
    parseSections(file: Buffer, header: Header): Section[];
  }
  const elfy: { readonly Parser: typeof Parser };
  export default elfy;
}
