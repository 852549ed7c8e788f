import { type Report } from './report.js';
import type { Options, Throughline } from './types.js';
export interface Core extends Throughline {
    report: Report;
}
export declare function start(options?: Options): Core;
