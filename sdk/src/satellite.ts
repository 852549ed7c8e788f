// The satellite, by script: on this origin, or where hop.js came from. Whatever goes wrong is `undefined`.

import type { Hop } from './types.js'

export const hop = (globalThis as { throughlineHop?: Hop }).throughlineHop

const at = (endpoint: string) => `${(hop ?? location).origin}/_throughline/${endpoint}`

/** A GET without `body`, else a POST of JSON. `time` is in milliseconds. */
export async function ask<T>(endpoint: string, time: number, body?: unknown): Promise<T | undefined> {
  const patience = new AbortController()
  const timer = setTimeout(() => patience.abort(), time)
  try {
    const request: RequestInit = { signal: patience.signal, redirect: 'error', credentials: 'include' }
    if (body) {
      request.method = 'POST'
      // As a text: JSON by name would cost a preflight where the satellite is on a sub-domain.
      request.body = JSON.stringify(body)
      request.keepalive = true
    }
    const answer = await fetch(at(endpoint), request)
    if (answer.ok) return (await answer.json()) as T
  } catch {
    // Refused, hung, or no JSON: for the page they are the same.
  } finally {
    clearTimeout(timer)
  }
}

/** The way to `url` on which the visitor's ID goes along. */
export const through = (url: string) => at(`go?to=${encodeURIComponent(url)}`)
