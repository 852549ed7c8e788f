import type { Held } from './types.js';
export declare function standIn(held: Held, path?: string[]): unknown;
