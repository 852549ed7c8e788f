import type { Hop } from './types.js';
export declare const hop: Hop | undefined;
/** A GET without `body`, else a POST of JSON. `time` is in milliseconds. */
export declare function ask<T>(endpoint: string, time: number, body?: object): Promise<T | undefined>;
/** The way to `url` on which the visitor's ID goes along, if there is one. */
export declare function through(url: string): string | undefined;
