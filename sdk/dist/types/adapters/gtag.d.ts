import type { Adapter } from '../types.js';
/** The same on all sites. */
export declare function clientId(visitor: string): string;
export declare const gtag: Adapter;
