import type { Adapter } from '../types.js';
export declare const plausible: Adapter;
