/** Vectors of exceptions: SDM vol. 3, table 6-1. */

export const INVALID_OPCODE = 6;
export const DEVICE_NOT_AVAILABLE = 7;
export const DOUBLE_FAULT = 8;
export const INVALID_TSS = 10;
export const SEGMENT_NOT_PRESENT = 11;
export const STACK_FAULT = 12;
export const GENERAL_PROTECTION = 13;
export const PAGE_FAULT = 14;
