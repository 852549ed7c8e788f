import type { Throughline } from './types.js';
export declare function decorateLinks({ link }: Throughline): void;
