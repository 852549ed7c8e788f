// The real libraries, from npm, in Chromium, with and without the SDK. What counts is what the collector received.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { company } from './support/company.mjs'
import { browser } from './support/webdriver.mjs'

let sites
let page
before(async () => {
  sites = await company({ libraries: ['segment', 'mixpanel'] })
})
after(() => sites?.end())
beforeEach(async () => {
  page = await browser()
  sites.fresh()
})
afterEach(async () => {
  sites.holdNothingBack()
  await page?.close()
})

const received = async (name, count, patience = 8000) => {
  const end = Date.now() + patience
  const found = () =>
    sites.requests
      .filter(({ path }) => path.startsWith(name))
      .flatMap(({ path, body }) => [body].flat().map((event) => ({ path, ...event })))
  while (found().length < count && Date.now() < end) await sleep(30)
  assert.ok(found().length >= count, `${found().length} of ${count}: ${JSON.stringify(sites.requests)}`)
  return found()
}

const visitor = () => page.until('throughline.identity && throughline.identity()?.visitor')

const MIXPANEL = (held) => `
  window.mixpanel = ${held ? `throughline.hold('mixpanel', () => Vendor.mixpanel)` : 'Vendor.mixpanel'}
  mixpanel.init('token', { api_host: '${sites.collect('mixpanel')}', batch_requests: false, track_pageview: true, autocapture: true,
    persistence: 'localStorage', api_transport: 'XHR', debug: false })
`
const mixpanel = (name, code = '', held = true) => sites.page(name, MIXPANEL(held) + code, { load: ['mixpanel'], stub: held })

test('X1 Mixpanel: the first request has the ID, and nobody is identified (chromium)', async () => {
  await page.open(sites.shop + mixpanel('x1', `mixpanel.track('seen')`))
  const id = await visitor()
  const events = await received('mixpanel/track', 2)
  for (const { event, properties } of events) {
    assert.deepEqual([properties.$device_id, properties.distinct_id], [id, `$device:${id}`], event)
    assert.notEqual(event, '$identify')
  }
  await page.run(`mixpanel.reset(); mixpanel.track('after')`)
  const last = (await received('mixpanel/track', events.length + 1)).at(-1)
  assert.deepEqual([last.event, last.properties.$device_id, last.properties.distinct_id], ['after', id, `$device:${id}`])
})

test("X1 control: Mixpanel's own ID without the SDK is random, and another on each site (chromium)", async () => {
  const ids = []
  for (const site of [sites.shop, sites.learn]) {
    sites.fresh()
    await page.open(site + mixpanel('x1-control', `mixpanel.track('seen')`, false))
    ids.push((await received('mixpanel/track', 1))[0].properties.$device_id)
  }
  assert.equal(new Set(ids).size, 2)
})

test('X2 Mixpanel: whoever is logged in stays logged in (chromium)', async () => {
  await page.open(sites.shop + mixpanel('x2-before', `mixpanel.identify('u1')`, false))
  await sleep(300)
  sites.fresh()
  await page.open(sites.shop + mixpanel('x2', `mixpanel.track('seen')`))
  const id = await visitor()
  for (const { properties } of await received('mixpanel/track', 2)) {
    assert.deepEqual([properties.distinct_id, properties.$user_id, properties.$device_id], ['u1', 'u1', id])
  }
})

test("X3 Mixpanel: super properties are on the next site's first event, and replace none there (chromium)", async () => {
  await page.open(sites.learn + mixpanel('x3-own', `mixpanel.register({ size: 'own' })`, false))
  await page.open(
    sites.shop +
      mixpanel(
        'x3',
        `mixpanel.register({ plan: 'gold', size: 'theirs', $device_id: 'x', token: 'x' }); mixpanel.register_once({ first: 1 })`,
      ),
  )
  const remembered = await page.until(
    `fetch('/_throughline/me').then((answer) => answer.json()).then(({ properties }) => properties.first && properties)`,
  )
  assert.deepEqual(remembered, { plan: 'gold', size: 'theirs', first: 1 })
  sites.fresh()
  await page.open(sites.learn + mixpanel('x3-next'))
  const [{ properties }] = await received('mixpanel/track', 1)
  assert.deepEqual([properties.plan, properties.size, properties.first], ['gold', 'own', 1])
})

test('X4 Mixpanel: the initial referring domain on the second site is the outside one (chromium)', async () => {
  const path = sites.page('x4', MIXPANEL(true), { load: ['mixpanel'], body: `<a href="${sites.learn}/x4.html">on</a>` })
  await page.open(sites.arriving(sites.shop + path))
  await page.follow('a')
  await received('mixpanel/track', 1)
  await page.until('document.querySelector("a")')
  await page.follow('a')
  await page.until(`location.origin === '${sites.learn}'`)
  await sleep(800)
  const events = (await received('mixpanel/track', 2)).filter(({ properties }) => properties.$current_url.startsWith(sites.learn))
  assert.ok(events.length)
  for (const { properties } of events) {
    assert.equal(properties.$initial_referring_domain, new URL(sites.news).host, JSON.stringify(properties))
    assert.equal(properties.$referring_domain, new URL(sites.news).host)
  }
  await page.open(sites.shop + path)
  await visitor()
  assert.equal(await page.run('return document.referrer'), '', 'a direct visit stays one')
})

test('X2 X3 X4 control: without the SDK the next site has another ID, no user, no property, and an own host (chromium)', async () => {
  const before = `mixpanel.identify('u1'); mixpanel.register({ plan: 'gold' }); mixpanel.track('seen')`
  const load = { load: ['mixpanel'], stub: false }
  const next = sites.learn + sites.page('x4-control-next', MIXPANEL(false), load)
  const path = sites.page('x4-control', MIXPANEL(false) + before, { ...load, body: `<a href="${next}">on</a>` })
  await page.open(sites.arriving(sites.shop + path))
  await page.follow('a')
  await page.until(`location.origin === '${sites.shop}' && document.querySelector('a')`)
  const own = (await received('mixpanel/track', 2)).find(({ event }) => event === 'seen').properties
  assert.deepEqual([own.distinct_id, own.plan, own.$initial_referring_domain], ['u1', 'gold', new URL(sites.news).host])
  sites.fresh()
  await page.follow('a')
  const [{ properties }] = await received('mixpanel/track', 1)
  assert.notEqual(properties.$device_id, own.$device_id)
  assert.deepEqual([properties.$user_id, properties.plan], [undefined, undefined])
  assert.equal(properties.$initial_referring_domain, new URL(sites.shop).host)
})

test('X10 Mixpanel: before ready nothing is sent, and a held call keeps its own time and page (chromium)', async () => {
  const visitor = sites.holdBackVisitor()
  const code = `${MIXPANEL(true)} window.before = Date.now(); mixpanel.track('seen'); window.after = Date.now()
    history.pushState(0, '', '/moved'); document.title = 'moved'`
  const path = sites.page('x10', code, { load: ['mixpanel'], options: 'data-consent="implied" data-timeout="20000" data-patience="20000"' })
  await page.open(sites.shop + path)
  await page.until('Date.now() - after > 1000')
  assert.deepEqual(sites.requests, [])
  visitor.release()
  const seen = (await received('mixpanel/track', 2)).find(({ event }) => event === 'seen')
  const [before, after] = await page.run('return [before, after]')
  const time = Math.round(seen.properties.time * 1000)
  assert.ok(before <= time && time <= after, `${before} ${time} ${after}`)
  assert.deepEqual([seen.properties.$current_url, seen.properties.current_page_title], [sites.shop + path, 'x10'])
})

const SEGMENT = (held) => {
  const load = `Vendor.segment.load({ writeKey: 'key', cdnSettings: { integrations: { 'Segment.io': { apiKey: 'key', apiHost: '${sites.collect('segment').slice(7)}', protocol: 'http' } }, plan: {} } })`
  // Requests that leave in order may arrive otherwise, so the page notes how they leave.
  const note =
    'window.left = []; const { fetch } = window; window.fetch = (...args) => { left.push(args[1]?.body); return fetch(...args) };'
  return `${note} window.analytics = ${held ? `throughline.hold('segment', () => ${load})` : load};`
}
const segment = (name, code, held = true) => sites.page(name, SEGMENT(held) + code, { load: ['segment'], stub: held })

test('X5 Segment: identify first, then the tracks in order, all with the ID, whatever the address says (chromium)', async () => {
  const path = segment(
    'x5',
    `analytics.track('a'); analytics.identify('u1', { plan: 'gold' }); analytics.track('b', { x: 1 }); analytics.page()`,
  )
  await page.open(`${sites.shop}${path}?ajs_aid=stolen`)
  const id = await visitor()
  const events = await received('segment', 4)
  assert.equal(events[0].type, 'identify')
  const left = (await page.run('return left')).map((body) => JSON.parse(body || '{}')).filter(({ type }) => type)
  assert.deepEqual(
    left.map(({ type, event }) => event ?? type),
    ['identify', 'a', 'b', 'page'],
  )
  assert.deepEqual(new Set(events.map(({ anonymousId }) => anonymousId)), new Set([id]))
  assert.deepEqual([left[0].userId, left[0].traits, left[2].properties], ['u1', { plan: 'gold' }, { x: 1 }])
  await page.run(`analytics.identify('u2'); analytics.track('c'); analytics.reset(); analytics.track('d')`)
  for (const { anonymousId, event, type } of await received('segment', 7)) assert.equal(anonymousId, id, event ?? type)
})

test("X5 control: Segment's own ID without the SDK is random, and the address can set it (chromium)", async () => {
  await page.open(sites.shop + segment('x5-control', `analytics.track('a')`, false))
  const [own] = await received('segment', 1)
  await page.open(sites.learn + segment('x5-control', `analytics.track('a')`, false))
  const [, other] = await received('segment', 2)
  assert.notEqual(own.anonymousId, other.anonymousId)
  await page.open(`${sites.learn}${segment('x5-control', `analytics.track('a')`, false)}?ajs_aid=stolen`)
  assert.equal((await received('segment', 3))[2].anonymousId, 'stolen')
})

test("X5 Segment's plugin alone holds every event, and each has the ID, whatever the address says (chromium)", async () => {
  const made = SEGMENT(false).replace(`writeKey: 'key',`, `writeKey: 'key', plugins: [throughline.segmentPlugin()],`)
  const code = `addEventListener('load', () => { ${made} analytics.track('a'); window.called = Date.now() })`
  const path = sites.page('x5-plugin', code, {
    load: ['segment'],
    options: 'data-consent="implied" data-timeout="20000" data-patience="20000"',
    head: '<script defer src="/_throughline/sdk.js"></script>',
  })
  const held = sites.holdBackVisitor()
  await page.open(`${sites.shop}${path}?ajs_aid=stolen`)
  await held.reached
  await page.until('window.called')
  assert.deepEqual(sites.requests, [])
  held.release()
  const id = await visitor()
  await received('segment', 1)
  await page.run(`analytics.identify('u1'); analytics.identify('u2'); analytics.reset(); analytics.track('b')`)
  for (const { anonymousId, event, type } of await received('segment', 4)) assert.equal(anonymousId, id, event ?? type)
})

test('X9 gtag: js, config, set, event in this order, and the client ID is the same on both sites (chromium)', async () => {
  const code = `window.dataLayer = []
    window.gtag = throughline.hold('gtag', () => function () { dataLayer.push(arguments) })
    gtag('event', 'seen'); gtag('set', { user_id: 'u1' }); gtag('config', 'G-1', { debug_mode: true }); gtag('js', new Date())`
  const path = sites.page('x9', code)
  const ids = []
  for (const site of [sites.shop, sites.learn]) {
    await page.open(site + path)
    await page.until('dataLayer.length === 4')
    const layer = await page.run('return dataLayer.map((one) => [...one])')
    assert.deepEqual(
      layer.map(([name]) => name),
      ['js', 'config', 'set', 'event'],
    )
    assert.match(layer[1][2].client_id, /^\d+\.\d+$/)
    assert.equal(layer[1][2].debug_mode, true)
    ids.push(layer[1][2].client_id)
  }
  assert.equal(ids[0], ids[1])
})

test('X9 control: without the SDK gtag() puts its commands as they come, and no client ID (chromium)', async () => {
  const code = `window.dataLayer = []; window.gtag = function () { dataLayer.push(arguments) }
    gtag('event', 'seen'); gtag('config', 'G-1', {}); gtag('js', new Date())`
  await page.open(sites.shop + sites.page('x9-control', code, { stub: false }))
  const layer = await page.run('return dataLayer.map((one) => [...one])')
  assert.deepEqual(
    layer.map(([name]) => name),
    ['event', 'config', 'js'],
  )
  assert.equal(layer[1][2].client_id, undefined)
})

test('X13 Subresource Integrity: the right value works, a wrong one blocks sdk.js and no event (chromium)', async () => {
  const bundle = readFileSync(new URL('../dist/sdk.js', import.meta.url))
  const right = `sha384-${createHash('sha384').update(bundle).digest('base64')}`
  const wrong = `sha384-${createHash('sha384').update('another').digest('base64')}`
  for (const integrity of [right, wrong]) {
    sites.fresh()
    const path = sites.page('x13-integrity', MIXPANEL(true).replace(sites.collect('mixpanel'), '/collect/mixpanel'), {
      load: ['mixpanel'],
      policy: "default-src 'none'; script-src 'nonce-n'; connect-src 'self'",
      options: `data-consent="implied" data-integrity="${integrity}"`,
    })
    await page.open(sites.shop + path)
    const [{ properties }] = await received('mixpanel/track', 1)
    const who = await page.run('return throughline.identity()')
    if (integrity === right) assert.equal(properties.$device_id, who.visitor)
    else assert.deepEqual([who, await page.run('return throughline.late')], [null, true])
  }
})

test('X13 a strict policy: stub, SDK and library work, and nothing is refused (chromium)', async () => {
  const path = sites.page('x13', MIXPANEL(true).replace(sites.collect('mixpanel'), '/collect/mixpanel'), {
    load: ['mixpanel'],
    policy: "default-src 'none'; script-src 'nonce-n'; connect-src 'self'",
  })
  await page.open(sites.shop + path)
  const id = await visitor()
  const [{ properties }] = await received('mixpanel/track', 1)
  assert.equal(properties.$device_id, id)
  const log = (await page.log()).filter(({ message }) => !message.includes('favicon'))
  assert.deepEqual(log, [])
})
