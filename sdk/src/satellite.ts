// The satellite, by script: on this origin, or where hop.js came from. Whatever goes wrong is `undefined`.

import { plain } from './trusted.js'
import type { Hop } from './types.js'

export const hop = plain((globalThis as { throughlineHop?: Hop }).throughlineHop)

const at = (endpoint: string) => `${(hop ?? location).origin}/_throughline/${endpoint}`

/** A GET without `body`, else a POST of JSON. `time` is in milliseconds. */
export async function ask<T>(endpoint: string, time: number, body?: object): Promise<T | undefined> {
  const patience = new AbortController()
  setTimeout(() => patience.abort(), time)
  // As a text: JSON by name would cost a preflight where the satellite is on a sub-domain.
  const post = { method: 'POST', body: JSON.stringify(body), keepalive: true }
  try {
    const request: RequestInit = { signal: patience.signal, redirect: 'error', credentials: 'include', ...(body && post) }
    const answer = await fetch(at(endpoint), request)
    if (answer.ok) return (await answer.json()) as T
  } catch {
    // Refused, hung, or no JSON: for the page they are the same.
  }
}

/** What `go` refuses, or might (docs/protocol.md, link URLs), as it does most escapes in a path. A plain link gets there all the same. */
const REFUSED = /^.{8}[^?#]*(\/\/|@|%(?![89a-f][\da-f]))|[\\`]|#.*#/i

/** Servers before a site may take no longer head than 4 KB. As for a hop, in octets. */
const LENGTH_MAX = 2560

/** The way to `url` on which the visitor's ID goes along, if there is one. */
export function through(url: string): string | undefined {
  const to = encodeURIComponent(url)
  if (to.length <= LENGTH_MAX && !REFUSED.test(url)) return at(`go?to=${to}`)
}
