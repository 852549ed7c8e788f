import type { Adapter } from '../types.js';
export declare const adapters: Record<string, Adapter>;
