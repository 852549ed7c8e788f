// What the libraries take for the page that led here (rule X4). A page of the company's own is none: in its place stands the one
// outside that led to the first visit, or nothing. The campaign of that visit goes with it.

import type { FirstTouch } from './types.js'

/** All libraries read `document.referrer`, so this one change is enough for all. */
export function setReferrer(referrer = ''): void {
  try {
    Object.defineProperty(document, 'referrer', { configurable: true, value: referrer })
  } catch {
    // An element of that name is in the way (`<img name="referrer">`). The libraries then read the element.
  }
}

/** What libraries miss that look for it in the address. On the site of the first visit they saw it themselves. */
export function missedCampaign({ landing, campaign }: FirstTouch): Record<string, string> | undefined {
  if (!landing.startsWith(`${location.origin}/`) && !/[?&]utm_/.test(location.search)) return campaign
}
