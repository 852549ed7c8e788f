// What the libraries take for the page that led here (rule X4). A page of the company's own is none: in its place stands the one
// outside that led to the first visit, or nothing.

import type { FirstTouch } from './types.js'

/** All libraries read `document.referrer`, so this one change is enough for all. */
export function cleanReferrer(sites: string[], firstTouch: FirstTouch | null): void {
  const from = document.referrer.split('/', 3).join('/')
  if (!from || from === location.origin || !sites.includes(from)) return
  const referrer = firstTouch?.referrer ?? ''
  Object.defineProperty(document, 'referrer', { configurable: true, get: () => referrer })
}
