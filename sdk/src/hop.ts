// The hop by script, on pages without a server of their own. It is first in <head>, as a file from the satellite's own address; that
// is how it knows where the satellite is. Nothing waits for it, and whatever goes wrong, the page is as without it.

import type { Hop, Me } from './types.js'

const KEY = 'throughline-hop'

/** How long the satellite is waited for, in milliseconds. */
const PATIENCE = 1000

/** The page is about to be left. Should that come to nothing, the libraries start after so many milliseconds. */
const LEAVING = 3000

/** A hop is over within so many milliseconds. */
const HOP_TIME_MAX = 120_000

/** The longest page that goes on a hop. */
const LENGTH_MAX = 2560

try {
  const script = document.currentScript as HTMLScriptElement
  const { origin } = new URL(script.src)
  const hop: Hop = ((window as { throughlineHop?: Hop }).throughlineHop = { origin })

  const ask = async (endpoint: string, body?: object): Promise<Me | undefined> => {
    const patience = new AbortController()
    setTimeout(() => patience.abort(), PATIENCE)
    // A text needs no preflight, and the satellite looks at who asks.
    const request: RequestInit = { credentials: 'include', signal: patience.signal }
    if (body) Object.assign(request, { method: 'POST', body: JSON.stringify(body) })
    try {
      const answer = await fetch(`${origin}/_throughline/${endpoint}`, request)
      if (answer.ok) return await answer.json()
    } catch {}
  }

  const run = async (): Promise<Me | undefined> => {
    const [, path, query, fragment] = /^([^?#]*)\??([^#]*)(.*)/.exec(location.href) as unknown as [string, string, string, string]
    const parts = query.split('&')
    const kept = parts.filter((part) => !/^_tl(=|$)/.test(part))
    const { referrer } = document
    if (kept.length < parts.length) {
      history.replaceState(history.state, '', path + (kept.length ? '?' : '') + kept.join('&') + fragment)
      try {
        const [at, ...saved] = (sessionStorage[KEY] ?? '').split('=')
        sessionStorage[KEY] = ''
        // A hop that came to nothing must not speak for a later arrival.
        if (Date.now() - at < HOP_TIME_MAX)
          Object.defineProperty(document, 'referrer', { configurable: true, get: () => saved.join('=') })
      } catch {}
      const token = parts.find((part) => !kept.includes(part))!.slice(4)
      if (token && parts.length - kept.length < 2) await ask('exchange', { token, referrer })
      return ask('me')
    }
    const page = encodeURIComponent(location.href.slice(0, location.href.length - fragment.length))
    // A page that must not be loaded twice, such as one that a one-time link opens, is marked.
    const me = await ask(page.length > LENGTH_MAX || script.hasAttribute('data-no-hop') ? 'me' : `me?page=${page}`)
    try {
      if (me?.start && sessionStorage[KEY] === undefined) {
        sessionStorage[KEY] = `${Date.now()}=${referrer}`
        const outside = encodeURIComponent(referrer.split(/[?#]/)[0]!)
        location.replace(`${origin}/_throughline/start?page=${page}&referrer=${outside}${fragment}`)
        await new Promise((late) => setTimeout(late, LEAVING))
      }
    } catch {}
    return me
  }

  // The page that answers a POST cannot be had again by the redirects of a hop: this tab goes on none from here.
  const submitted = ({ target, submitter }: SubmitEvent) => {
    const method = submitter?.getAttribute('formmethod') ?? (target as Element).getAttribute('method')
    try {
      if (/^post$/i.test(method ?? '')) sessionStorage[KEY] ??= ''
    } catch {}
  }
  addEventListener('submit', submitted, true)

  // Only what a person is looking at.
  if (top === self && !(document as { prerendering?: boolean }).prerendering && (document.visibilityState as string) !== 'prerender')
    hop.me = run().catch(() => undefined)
} catch {}
