// The satellite on this origin, by script. Whatever goes wrong is `undefined`.

const PREFIX = '/_throughline/'

/** A GET without `body`, else a POST of JSON. `time` is in milliseconds. */
export async function ask<T>(endpoint: string, time: number, body?: object): Promise<T | undefined> {
  const patience = new AbortController()
  setTimeout(() => patience.abort(), time)
  const post = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body), keepalive: true }
  try {
    const answer = await fetch(PREFIX + endpoint, { signal: patience.signal, redirect: 'error', ...(body && post) })
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
  if (to.length <= LENGTH_MAX && !REFUSED.test(url)) return `${location.origin + PREFIX}go?to=${to}`
}
