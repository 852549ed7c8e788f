// The SDK itself: who the visitor is, whether that may be used, and what waits for it.

import { events } from './events.js'
import { inOrder } from './in_order.js'
import { endProvisional, provisional } from './provisional.js'
import { missedCampaign, setReferrer } from './referrer.js'
import { type Report, reporter } from './report.js'
import { ask, hop, through } from './satellite.js'
import { pageData, referrer } from './trusted.js'
import type { Consent, Identity, Me, Options, Properties, Throughline } from './types.js'

/** What nobody waits for may take this long, in milliseconds. */
const UNHURRIED = 5000

export interface Core extends Throughline {
  report: Report
}

/** A change of properties, as the satellite takes it. */
interface Change {
  set?: Properties
  set_once?: Properties
}

const changed = (properties: Properties, { set, set_once }: Change): Properties => ({ ...set_once, ...properties, ...set })

export function start(options: Options = {}): Core {
  const time = Number(options.timeout) || 1000
  const { call, on, emit, withdraw } = events((error) => report('callback_failed', 'look into it', error))
  const report = reporter(emit)
  const sites = (options.sites?.match(/\S+/g) ?? []) as string[]
  /** Another of the company's sites. */
  const isSibling = (origin: string) => origin !== location.origin && sites.includes(origin)
  let identity: Identity | null = null
  let consent: Consent = 'unknown'
  let settle: (identity: Identity) => void
  const known = new Promise<Identity>((resolve) => {
    settle = resolve
  })

  /** Consent stands: everything starts. */
  function begin({ visitor, source, first_touch = null, properties = {} }: Partial<Me> = {}): void {
    const before = visitor && endProvisional()
    identity = { visitor: visitor || provisional(), source: (visitor && source) || 'provisional', first_touch, properties }
    if (isSibling(referrer().split('/', 3).join('/'))) {
      if (first_touch) identity.campaign = missedCampaign(first_touch)
      if (options.referrer !== 'off') setReferrer(first_touch?.referrer)
    }
    settle(identity)
    emit('ready', identity)
    if (before) emit('alias', { from: before, to: visitor })
  }

  function stand(now: Consent, me?: Me): Consent {
    const changed = consent !== now
    consent = now
    if (now === 'granted') identity ?? begin(me)
    else {
      identity = null
      withdraw('ready', 'alias')
    }
    if (now === 'denied') endProvisional()
    if (changed) emit('consent', now)
    return now
  }

  async function look(): Promise<void> {
    let me: Me | undefined
    try {
      me = pageData<Me>()
    } catch (error) {
      report('bad_page_data', 'throughline-me wants a JSON object', error)
    }
    me ??= await (hop?.me ?? ask<Me>('me', time))
    // A choice that was made meanwhile is newer than the answer.
    if (consent === 'denied') return
    if (me) {
      sites.push(...(me.sites ?? []))
      stand(me.consent, me)
      return
    }
    report('no_satellite', 'is it before this site?')
    if (!options.consent) report('no_policy', 'set data-consent')
    if (options.consent === 'implied' && !(navigator as { globalPrivacyControl?: boolean }).globalPrivacyControl) stand('granted')
  }

  const choices = inOrder()
  let newestChoice: object

  async function choose(choice: 'granted' | 'denied', endpoint = 'consent'): Promise<Consent> {
    const mine = (newestChoice = {})
    const isNewest = () => newestChoice === mine
    if (choice === 'denied') stand(choice)
    const answer = await choices(async () => {
      if (choice === 'denied') return ask<{ consent: Consent }>(endpoint, UNHURRIED, { choice })
      await looked
      // A refusal that came meanwhile decides. The satellite need not hear of the grant.
      return isNewest() ? ask<{ consent: Consent }>(endpoint, UNHURRIED, { choice }) : undefined
    })
    if (!isNewest()) return consent
    if (!answer) report('not_kept', 'this page only')
    const now = answer?.consent ?? choice
    const me = now === 'granted' && !identity ? await ask<Me>('me', time) : undefined
    return isNewest() ? stand(now, me) : consent
  }

  const changes = inOrder()
  /** The page's changes from the first one on that the satellite has not confirmed. If it never does, they hold on this page only. */
  const unconfirmed: Change[] = []

  async function change(kind: keyof Change, values: Properties): Promise<void> {
    if (Object(values) !== values) return report('bad_properties', 'register() wants an object')
    const who = await known
    const mine: Change = { [kind]: values }
    who.properties = changed(who.properties, mine)
    let answer: Pick<Me, 'properties'> | undefined
    if (who.source !== 'provisional') {
      unconfirmed.push(mine)
      answer = await changes(async () => (identity === who ? ask('me', UNHURRIED, mine) : undefined))
    }
    if (answer) {
      if (unconfirmed[0] === mine) unconfirmed.shift()
      who.properties = unconfirmed.reduce(changed, answer.properties)
    } else {
      report('not_remembered', 'this page only')
    }
    emit('properties', who.properties)
  }

  const looked = Promise.resolve().then(look)
  return {
    report,
    ready(callback) {
      if (callback) known.then((who) => call(callback as never, who))
      return known
    },
    identity: () => identity,
    consent: ((choice) => {
      if (/^(granted|denied)$/.test(choice)) return choose(choice)
      if (choice) report('bad_choice', 'consent() wants granted or denied')
      return consent
    }) as Throughline['consent'] & ((choice: 'granted' | 'denied') => unknown),
    forget: () => choose('denied', 'forget'),
    register: (properties) => change('set', properties),
    registerOnce: (properties) => change('set_once', properties),
    link(url) {
      try {
        const { href, origin } = new URL(url, location.href)
        if (identity && identity.source !== 'provisional' && isSibling(origin))
          return through(href) ?? url
      } catch {
        report('bad_url', 'link() wants a URL')
      }
      return url
    },
    on: on as Throughline['on'],
  }
}
