/** A worker's first message: the engine is loaded. What ends the process before it is no case's doing. */
export const READY = 'ready';
