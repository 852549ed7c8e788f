// The code of docs/integrations/moving.md, as it stands there, with the real libraries: from their own old ID to the visitor's.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { company } from './support/company.mjs'
import { browser } from './support/webdriver.mjs'

const text = readFileSync(new URL('../../docs/integrations/moving.md', import.meta.url), 'utf8')
const blocks = [...text.matchAll(/```js\n([^]*?)```/g)].map(([, code]) => code)
const [read, ...others] = blocks
const block = (word) => others.find((code) => code.includes(word))

let sites
let page
before(async () => {
  sites = await company({ libraries: ['segment', 'mixpanel', 'posthog'] })
})
after(() => sites?.end())
beforeEach(async () => {
  page = await browser()
  sites.fresh()
})
afterEach(() => page?.close())

const events = () => sites.requests.flatMap(({ body }) => body?.batch ?? [body].flat())
const sent = async (find) => {
  for (let tries = 0; tries < 160; tries++) {
    const found = events().find(find)
    if (found) return found
    await sleep(50)
  }
  assert.fail(JSON.stringify(sites.requests).slice(0, 3000))
}

/** How each library is made in the code of the page, how it starts, and its alias and its ID in what was sent. */
const LIBRARIES = {
  segment: {
    before: () => `const AnalyticsBrowser = { load: () => Vendor.segment.load({ writeKey: 'key',
      cdnSettings: { integrations: { 'Segment.io': { apiKey: 'key', apiHost: '${sites.collect('segment').slice(7)}', protocol: 'http' } }, plan: {} } }) }`,
    alone: 'window.analytics = AnalyticsBrowser.load()',
    start: () => `analytics.track('seen')`,
    seen: ({ event }) => event === 'seen',
    id: ({ anonymousId }) => anonymousId,
    isAlias: ({ type }) => type === 'alias',
    alias: ({ userId, previousId }) => [previousId, userId],
  },
  mixpanel: {
    before: () => 'const library = Vendor.mixpanel',
    alone: 'window.mixpanel = library',
    start: () => `mixpanel.init('TOKEN', { api_host: '${sites.collect('mixpanel')}', batch_requests: false, api_transport: 'XHR' }); mixpanel.track('seen')`,
    seen: ({ event }) => event === 'seen',
    id: ({ properties }) => properties.$device_id,
    isAlias: ({ event }) => event === '$create_alias',
    alias: ({ properties }) => [properties.alias.slice(8), properties.distinct_id.slice(8)],
  },
  posthog: {
    before: () => 'const library = Vendor.posthog',
    alone: 'window.posthog = library',
    start: () => `posthog.init('TOKEN', { api_host: '${sites.collect('posthog')}', request_batching: false, opt_out_useragent_filter: true, disable_compression: true,
      advanced_disable_flags: true, disable_session_recording: true, disable_external_dependency_loading: true }); posthog.capture('seen')`,
    seen: ({ event }) => event === 'seen',
    id: ({ properties }) => properties.distinct_id,
    isAlias: ({ event }) => event === '$create_alias',
    alias: ({ properties }) => [properties.alias, properties.distinct_id],
  },
}

for (const [name, { before, alone, start, seen, id, isAlias, alias }] of Object.entries(LIBRARIES)) {
  test(`moving ${name} from its own old ID, once, with the code of the documentation (chromium)`, async () => {
    const load = [name]
    // Nothing of ours is on the page yet.
    await page.open(sites.shop + sites.page(`${name}-old`, `${before()}; ${alone}; ${start()}`, { load, stub: false }))
    const old = id(await sent(seen))
    const path = sites.page(`${name}-moved`, `${before()}; ${read}; ${block(`'${name}'`)}; ${start()}`, { load })
    sites.fresh()
    await page.open(sites.shop + path)
    const visitor = await page.until('throughline.identity && throughline.identity()?.visitor')
    assert.notEqual(old, visitor)
    assert.deepEqual(alias(await sent(isAlias)), [old, visitor])
    assert.equal(id(await sent(seen)), visitor)
    sites.fresh()
    await page.open(sites.shop + path)
    assert.equal(id(await sent(seen)), visitor)
    await sleep(300)
    assert.equal(events().find(isAlias), undefined, 'once only')
  })
}
