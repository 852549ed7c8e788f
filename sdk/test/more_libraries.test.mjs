// The other libraries: each tells the collector the one ID, on both sites, and another one without the SDK.

import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { company } from './support/company.mjs'
import { browser } from './support/webdriver.mjs'

let sites
let page
before(async () => {
  sites = await company({
    libraries: ['segment', 'mixpanel', 'posthog', 'amplitude', 'rudder', 'snowplow', 'jitsu', 'analytics', 'plausible'],
  })
})
after(() => sites?.end())
beforeEach(async () => {
  page = await browser()
  sites.fresh()
})
afterEach(() => {
  sites.holdNothingBack()
  return page?.close()
})

const visitor = () => page.until('throughline.identity && throughline.identity()?.visitor')

/** How each is made and used; `hold` is the SDK's or none; `id` finds the ID in what was sent. */
const LIBRARIES = {
  posthog: {
    load: 'posthog',
    code: (hold, collect) => `window.it = ${hold('Vendor.posthog')}
      it.init('token', { api_host: '${collect}', request_batching: false, opt_out_useragent_filter: true, disable_compression: true,
        advanced_disable_flags: true, autocapture: true, capture_pageview: true, disable_session_recording: true, disable_external_dependency_loading: true })
      it.capture('seen')`,
    events: ({ body }) =>
      [body]
        .flat()
        .filter((one) => one?.event)
        .concat(body?.batch ?? []),
    id: ({ properties }) => properties.distinct_id,
  },
  amplitude: {
    load: 'amplitude',
    code: (hold, collect) => `window.it = ${hold('Vendor.amplitude')}
      it.init('key', { serverUrl: '${collect}', flushIntervalMillis: 10, fetchRemoteConfig: false, remoteConfig: { fetchRemoteConfig: false } })
      it.track('seen')`,
    events: ({ body }) => body?.events ?? [],
    id: ({ device_id }) => device_id,
  },
  rudderstack: {
    load: 'rudder',
    code: (hold, collect) => `window.it = ${hold('new Vendor.rudder()')}
      it.load('key', '${collect}', { getSourceConfig: () => ({ source: { id: 's', name: 's', writeKey: 'key', enabled: true, config: { statsCollection: {} }, destinations: [], workspaceId: 'w', dataplanes: {} }, updatedAt: '' }),
        configUrl: '${collect}', pluginsSDKBaseURL: '${collect}', storage: { type: 'localStorage', encryption: { version: 'legacy' } } })
      it.track('seen')`,
    events: ({ body }) => (body?.anonymousId ? [body] : []),
    id: ({ anonymousId }) => anonymousId,
  },
  snowplow: {
    load: 'snowplow',
    code: (hold, collect) => `window.it = ${hold('Vendor.snowplow')}
      it.newTracker('t', '${collect}', { appId: 'a', bufferSize: 1 })
      it.trackPageView()`,
    events: ({ body }) => body?.data ?? [],
    id: ({ duid }) => duid,
  },
  jitsu: {
    load: 'jitsu',
    code: (hold, collect) => `window.it = ${hold(`Vendor.jitsu({ host: '${collect}', writeKey: 'a:b' })`)}
      it.track('seen')`,
    events: ({ body }) => (body?.anonymousId ? [body] : []),
    id: ({ anonymousId }) => anonymousId,
  },
  analytics: {
    load: 'analytics',
    code: (hold, collect) => `window.it = ${hold(`Vendor.analytics({ app: 'a', plugins: [{ name: 'p',
        track: ({ payload }) => { fetch('${collect}', { method: 'POST', body: JSON.stringify(payload) }) } }] })`)}
      it.track('seen')`,
    events: ({ body }) => (body?.anonymousId ? [body] : []),
    id: ({ anonymousId }) => anonymousId,
  },
  plausible: {
    load: 'plausible',
    code: (hold, collect) => `window.it = ${hold('Vendor.plausible')}
      it.init({ domain: 'd', endpoint: '${collect}', captureOnLocalhost: true, autoCapturePageviews: true })`,
    events: ({ body }) => (body?.n ? [body] : []),
    id: ({ p }) => p?.visitor,
  },
  mixpanel: {
    load: 'mixpanel',
    code: (hold, collect) => `window.it = ${hold('Vendor.mixpanel')}
      it.init('token', { api_host: '${collect}', batch_requests: false, track_pageview: true, persistence: 'localStorage', api_transport: 'XHR' })`,
    events: ({ path, body }) => (path.includes('/track') ? [body].flat() : []),
    id: ({ properties }) => properties.$device_id,
  },
  segment: {
    load: 'segment',
    code: (hold, collect) => `window.it = ${hold(`Vendor.segment.load({ writeKey: 'key',
        cdnSettings: { integrations: { 'Segment.io': { apiKey: 'key', apiHost: '${collect.slice(7)}', protocol: 'http' } }, plan: {} } })`)}
      it.track('seen')`,
    events: ({ body }) => (body?.anonymousId ? [body] : []),
    id: ({ anonymousId }) => anonymousId,
  },
}
const RULES = { posthog: 'X6', amplitude: 'X7', mixpanel: 'X1', segment: 'X5' }

for (const [name, { load, code, events, id }] of Object.entries(LIBRARIES)) {
  const seen = async (from) => {
    const found = () => sites.requests.filter((one) => one.from.startsWith(from)).flatMap(events)
    for (let tries = 0; tries < 120 && !found().length; tries++) await sleep(50)
    assert.ok(found().length, JSON.stringify(sites.requests).slice(0, 2000) + JSON.stringify(await page.log()))
    return found()
  }
  const path = (held) => {
    const hold = held ? (library) => `throughline.hold('${name}', () => ${library})` : (library) => library
    return sites.page(`${name}-${held}`, code(hold, sites.collect(name)), { load: [load], stub: held })
  }

  test(`${RULES[name] ?? 'X8'} ${name}: the ID is in every event, on both sites (chromium)`, async () => {
    await page.open(sites.shop + path(true))
    const one = await visitor()
    for (const event of await seen(sites.shop)) assert.equal(id(event), one, JSON.stringify(event))
    await page.open(sites.learn + path(true))
    await visitor()
    for (const event of await seen(sites.learn)) {
      assert.equal(id(event), one, JSON.stringify(event))
      if (name === 'posthog') assert.deepEqual([event.properties.$device_id, event.properties.$is_identified], [one, false])
    }
  })

  test(`${RULES[name] ?? 'X8'} control: ${name} without the SDK has another ID on each site (chromium)`, async () => {
    await page.open(sites.shop + path(false))
    const one = id((await seen(sites.shop))[0])
    await page.open(sites.learn + path(false))
    const other = id((await seen(sites.learn))[0])
    if (name === 'plausible') assert.deepEqual([one, other], [undefined, undefined])
    else assert.notEqual(one, other)
  })
}

for (const [name, call] of [
  ['posthog', 'capture'],
  ['amplitude', 'track'],
  ['rudderstack', 'track'],
  ['jitsu', 'track'],
  ['analytics', 'track'],
]) {
  test(`${RULES[name] ?? 'X8'} ${name}: after a reset the ID is as before (chromium)`, async () => {
    const { load, code, events, id } = LIBRARIES[name]
    const made = code((library) => `throughline.hold('${name}', () => ${library})`, sites.collect(name))
    await page.open(sites.shop + sites.page(`${name}-reset`, made, { load: [load] }))
    const one = await visitor()
    const found = () => sites.requests.flatMap(events)
    for (let tries = 0; tries < 120 && !found().length; tries++) await sleep(50)
    await page.run(`Promise.resolve(it.reset()).then(() => it.${call}('after'))`)
    const after = () => found().find(({ event, event_type }) => (event ?? event_type) === 'after')
    for (let tries = 0; tries < 120 && !after(); tries++) await sleep(50)
    assert.equal(id(after()), one)
  })
}

test('X2 PostHog: whoever is logged in stays logged in (chromium)', async () => {
  const { load, code, events, id } = LIBRARIES.posthog
  await page.open(
    sites.shop +
      sites.page('posthog-in', `${code((library) => library, sites.collect('posthog'))}; it.identify('u1')`, {
        load: [load],
        stub: false,
      }),
  )
  await sleep(500)
  sites.fresh()
  const made = code((library) => `throughline.hold('posthog', () => ${library})`, sites.collect('posthog'))
  await page.open(sites.shop + sites.page('posthog-again', made, { load: [load] }))
  await visitor()
  const found = () => sites.requests.flatMap(events).filter(({ event }) => event === 'seen')
  for (let tries = 0; tries < 120 && !found().length; tries++) await sleep(50)
  assert.deepEqual(found().map(id), ['u1'])
})

test('X8 Matomo: its commands begin with the ID, in 16 digits (chromium)', async () => {
  const made = `window._paq = throughline.hold('matomo', () => (window.commands = [])); _paq.push(['trackPageView']); _paq.push(['setSiteId', 1])`
  await page.open(sites.shop + sites.page('matomo', made))
  const id = (await visitor()).replaceAll('-', '').slice(0, 16)
  await page.until('commands?.length === 3')
  assert.match(id, /^[0-9a-f]{16}$/)
  assert.deepEqual(await page.run('return commands'), [['setVisitorId', id], ['setSiteId', 1], ['trackPageView']])
})

/** Waits for what `find` gives, and what it waited for is `what`. */
const eventually = async (find, what) => {
  let found = find()
  for (let tries = 0; tries < 160 && !(Array.isArray(found) ? found.length : found); tries++) {
    await sleep(50)
    found = find()
  }
  assert.ok(Array.isArray(found) ? found.length : found, `${what}: ${JSON.stringify(sites.requests).slice(0, 3000)}`)
  return found
}

test('X7 Amplitude: session_start has the ID too, whatever the address says, which without the SDK is taken (chromium)', async () => {
  const { load, code, events, id } = LIBRARIES.amplitude
  const started = () => sites.requests.flatMap(events).filter(({ event_type }) => event_type === 'session_start')
  for (const held of [true, false]) {
    const hold = (library) => (held ? `throughline.hold('amplitude', () => ${library})` : library)
    const path = sites.page(`amplitude-address-${held}`, code(hold, sites.collect('amplitude')), { load: [load], stub: held })
    sites.fresh()
    // A site of its own for each, since Amplitude keeps what it had.
    await page.open(`${held ? sites.shop : sites.learn}${path}?ampDeviceId=stolen`)
    await eventually(started, 'session_start')
    const expected = held ? await visitor() : 'stolen'
    for (const event of sites.requests.flatMap(events)) assert.equal(id(event), expected, event.event_type)
  }
})

test('X10 a call that was held keeps its own time: by itself in Mixpanel, Segment, PostHog and Amplitude, in RudderStack and Snowplow as documented (chromium)', async () => {
  const TIMES = {
    mixpanel: ({ event, properties }) => event === 'seen' && properties.time * 1000,
    segment: ({ event, timestamp }) => event === 'seen' && Date.parse(timestamp),
    posthog: ({ event, timestamp }) => event === 'seen' && Date.parse(timestamp),
    amplitude: ({ event_type, time }) => event_type === 'seen' && time,
    rudderstack: ({ event, originalTimestamp }) => event === 'timed' && Date.parse(originalTimestamp),
    snowplow: ({ page, dtm }) => page === 'timed' && Number(dtm),
  }
  const calls = {
    mixpanel: `it.track('seen')`,
    rudderstack: `it.track('timed', {}, { originalTimestamp: new Date().toISOString() })`,
    snowplow: `it.trackPageView({ title: 'timed', timestamp: { type: 'dtm', value: Date.now() } })`,
  }
  for (const [name, time] of Object.entries(TIMES)) {
    const { load, code, events } = LIBRARIES[name]
    const made = code((library) => `throughline.hold('${name}', () => ${library})`, sites.collect(name))
    const path = sites.page(`time-${name}`, `window.before = Date.now(); ${made}; ${calls[name] ?? ''}; window.called = Date.now()`, {
      load: [load],
      options: 'data-consent="implied" data-timeout="20000" data-patience="20000"',
    })
    sites.fresh()
    const visitor = sites.holdBackVisitor()
    await page.open(sites.shop + path)
    const called = await page.until('window.called')
    await page.until('Date.now() - called > 1000')
    const sent = () => sites.requests.filter(({ path }) => path.startsWith(name))
    assert.deepEqual(sent(), [], name)
    visitor.release()
    const seen = await eventually(() => sent().flatMap(events).map(time).find(Boolean), name)
    const before = await page.run('return before')
    // Mixpanel counts in seconds.
    const at = Math.round(seen)
    assert.ok(before <= at && at <= called, `${name}: ${before} ${at} ${called}`)
  }
})

test('X4 the campaign of the first visit reaches Segment and Mixpanel on the next site, and replaces none (chromium)', async () => {
  const code = ['segment', 'mixpanel'].map((name) =>
    LIBRARIES[name].code((library) => `throughline.hold('${name}', () => ${library})`, sites.collect(name)),
  )
  const go = (search) => `<a id="to${search.length ? 'own' : ''}" href="${sites.learn}/campaign.html${search}">on</a>`
  const path = sites.page('campaign', code.join(';'), {
    load: ['segment', 'mixpanel'],
    body: go('') + go('?utm_source=later'),
  })
  const first = (name) => {
    const { events } = LIBRARIES[name]
    return eventually(
      () => sites.requests.filter(({ from, path }) => from === sites.learn && path.startsWith(name)).flatMap(events),
      name,
    )
  }
  await page.open(`${sites.arriving(`${sites.shop}${path}?utm_source=news&utm_campaign=spring&gclid=g1`)}`)
  await page.follow('a')
  await visitor()
  await page.follow('#to')
  await page.until(`location.origin === '${sites.learn}'`)
  const [segment] = await first('segment')
  assert.deepEqual([segment.context.campaign.source, segment.context.campaign.name], ['news', 'spring'])
  for (const { properties } of await first('mixpanel'))
    assert.deepEqual([properties.utm_source, properties.utm_campaign], ['news', 'spring'])
  // An address that names a campaign of its own.
  await page.open(sites.shop + path)
  await visitor()
  sites.fresh()
  await page.follow('#toown')
  await page.until(`location.origin === '${sites.learn}'`)
  const [own] = await first('segment')
  assert.deepEqual(own.context.campaign, { source: 'later' })
  // The site of the first visit saw the campaign in its own address, and is not told it again.
  sites.fresh()
  await page.run(`const link = document.createElement('a'); link.id = 'back'; link.href = '${sites.shop}${path}'; document.body.append(link)`)
  await page.follow('#back')
  await page.until(`location.origin === '${sites.shop}'`)
  const [back] = await eventually(
    () => sites.requests.filter(({ from, path }) => from === sites.shop && path.startsWith('segment')).flatMap(LIBRARIES.segment.events),
    'segment',
  )
  assert.equal(back.context.campaign, undefined)
})

test('X1 X3 X4 X5 X6 X7 X8 all at once, from outside over one site to the next: one ID in every event, identify first, no own host for a referrer (chromium)', async () => {
  // Who logs in keeps the ID, in the field that is for devices.
  const fields = { ...LIBRARIES, posthog: { ...LIBRARIES.posthog, id: ({ properties }) => properties.$device_id } }
  const more = {
    segment: `it.identify('u1', { plan: 'gold' }); it.track('then')`,
    posthog: `it.identify('u1')`,
    rudderstack: `it.identify('u1')`,
    jitsu: `it.identify('u1')`,
    mixpanel: `if (location.host.startsWith('shop')) it.register({ plan: 'gold' }); it.track('then'); it.identify('u1')`,
    amplitude: `it.setUserId('u1')`,
  }
  /** What libraries tell by themselves, while they start. */
  const OWN = /^([$]mp_web_page_view|session_start)$/
  /** How each says who the visitor is, before anything that the page tells. */
  const IDENTIFIES = {
    segment: ({ type }) => type === 'identify',
    rudderstack: ({ type }) => type === 'identify',
    jitsu: ({ type }) => type === 'identify',
    posthog: ({ event }) => event === '$identify',
    mixpanel: ({ event }) => event === '$identify',
    amplitude: ({ user_id }) => user_id === 'u1',
  }
  const code = Object.entries(LIBRARIES).map(
    ([name, { code }]) =>
      `{${code((library) => `throughline.hold('${name}', () => ${library})`, sites.collect(name))}; ${more[name] ?? ''}}`,
  )
  // Requests that leave in order may arrive otherwise, so the page numbers them.
  const numbered = `let count = 0
    for (const [owner, name, at] of [[window, 'fetch', 0], [XMLHttpRequest.prototype, 'open', 1], [navigator, 'sendBeacon', 0]]) {
      const real = owner[name]
      owner[name] = function (...args) {
        if (\`\${args[at]}\`.includes('/collect/')) args[at] += \`\${args[at].includes('?') ? '&' : '?'}left=\${++count}\`
        return real.apply(this, args)
      }
    }`
  const load = Object.values(LIBRARIES).map(({ load }) => load)
  const head = `<script>${numbered}</script>`
  const path = sites.page('all', code.join('\n'), { load, head, body: `<a href="${sites.learn}/all.html">on</a>` })
  await page.open(sites.arriving(sites.shop + path))
  await page.follow('a')
  const one = await visitor()
  for (const site of [sites.shop, sites.learn]) {
    for (const [name, { events, id }] of Object.entries(fields)) {
      const found = () =>
        sites.requests.filter(({ from, path }) => from.startsWith(site) && path.startsWith(name)).flatMap(events)
      await eventually(found, `${name} on ${site}`)
      for (const event of found()) {
        assert.equal(id(event), one, `${name} on ${site}: ${JSON.stringify(event)}`)
        const text = JSON.stringify(event)
        const referrers = [...text.matchAll(/"(\$?[a-z_]*referr[a-z_]*|refr|r)":"([^"]*)"/gi)].map(([, , value]) => value)
        const own = referrers.filter((value) => /(brand|shop|learn)\.localhost/.test(value))
        assert.deepEqual(own, [], `${name} on ${site}: ${text}`)
      }
    }
    for (const [name, isIdentify] of Object.entries(IDENTIFIES)) {
      const requests = () => sites.requests.filter(({ from, path }) => from === site && path.startsWith(name))
      const inOrder = () => requests().sort((a, b) => a.query.left - b.query.left)
      const told = () => inOrder().flatMap(fields[name].events).filter((event) => !OWN.test(event.event ?? event.event_type))
      const [first] = await eventually(() => (told().length > 1 && told().some(isIdentify) ? told() : []), `${name}'s on ${site}`)
      assert.ok(isIdentify(first), `${name} on ${site}: ${JSON.stringify(first)}`)
    }
    if (site === sites.shop) {
      await page.until(`throughline.identity().properties.plan`)
      await page.follow('a')
      await page.until(`location.origin === '${sites.learn}'`)
    }
  }
  const mixpanel = sites.requests
    .filter(({ from, path }) => from === sites.learn && path.startsWith('mixpanel/track'))
    .flatMap(({ body }) => body)
  assert.equal(mixpanel[0].properties.plan, 'gold')
  for (const { properties } of mixpanel) assert.equal(properties.$initial_referring_domain, new URL(sites.news).host)
})
