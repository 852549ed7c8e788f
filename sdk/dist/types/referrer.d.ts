import type { FirstTouch } from './types.js';
/** All libraries read `document.referrer`, so this one change is enough for all. */
export declare function setReferrer(referrer?: string): void;
/** What libraries miss that look for it in the address. On the site of the first visit they saw it themselves. */
export declare function missedCampaign({ landing, campaign }: FirstTouch): Record<string, string> | undefined;
