import type { Adapter } from '../types.js';
export declare const mixpanel: Adapter;
