import type { Adapter } from '../types.js';
export declare const amplitude: Adapter;
