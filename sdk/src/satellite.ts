// The satellite on this origin, by script. Whatever goes wrong is `undefined`.

const PREFIX = '/_throughline/'

/** A GET without `body`, else a POST of JSON. `time` is in milliseconds. */
export async function ask<T>(endpoint: string, time: number, body?: unknown): Promise<T | undefined> {
  const patience = new AbortController()
  const timer = setTimeout(() => patience.abort(), time)
  try {
    const request: RequestInit = { signal: patience.signal, redirect: 'error' }
    if (body) {
      request.method = 'POST'
      request.headers = { 'Content-Type': 'application/json' }
      request.body = JSON.stringify(body)
      request.keepalive = true
    }
    const answer = await fetch(PREFIX + endpoint, request)
    if (answer.ok) return (await answer.json()) as T
  } catch {
    // Refused, hung, or no JSON: for the page they are the same.
  } finally {
    clearTimeout(timer)
  }
}

/** The way to `url` on which the visitor's ID goes along. */
export const through = (url: string) => `${location.origin + PREFIX}go?to=${encodeURIComponent(url)}`
