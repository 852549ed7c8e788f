import type { FirstTouch } from './types.js';
/** All libraries read `document.referrer`, so this one change is enough for all. */
export declare function cleanReferrer(sites: string[], firstTouch: FirstTouch | null): void;
