// gtag.js and matomo.js are in no package: Google's servers and your own Matomo hand them out. With the files at hand,
//
//     GTAG_JS=gtag.js MATOMO_JS=matomo.js npm run test:downloaded
//
// tells whether they send the one ID. It is no part of `npm test`, which takes the libraries from the registry alone.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, beforeEach, afterEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { company } from './support/company.mjs'
import { browser } from './support/webdriver.mjs'

const { GTAG_JS: gtag, MATOMO_JS: matomo } = process.env
assert.ok(gtag && matomo, 'GTAG_JS and MATOMO_JS name the files')

let sites
let page
before(async () => {
  sites = await company({ scripts: { gtag, matomo } })
})
after(() => sites?.end())
beforeEach(async () => {
  page = await browser()
  sites.fresh()
})
afterEach(() => page?.close())

const visitor = () => page.until('throughline.identity && throughline.identity()?.visitor')
const id = () => readFileSync(gtag, 'utf8').match(/"vtp_trackingId":"(G-\w+)"/)[1]

/** What was sent, as the parameters of one request each. */
const sent = async (site) => {
  const found = () => sites.requests.filter(({ from }) => from.startsWith(site))
  for (let tries = 0; tries < 160 && !found().length; tries++) await sleep(50)
  assert.ok(found().length, JSON.stringify(await page.log()))
  return found().map(({ query, body }) => ({ ...query, ...Object.fromEntries(new URLSearchParams(`${body}`)) }))
}

// The script comes when the visitor is known, as the documentation has it.
const LOAD = (name) =>
  `document.head.append(Object.assign(document.createElement('script'), { nonce: 'n', src: '/vendor/${name}.js' }))`
const LIBRARIES = {
  'X9 gtag.js': {
    code: (hold) => `window.dataLayer = []; window.gtag = ${hold('gtag', 'function () { dataLayer.push(arguments) }', 'gtag')}
      gtag('js', new Date()); gtag('config', '${id()}', { transport_url: '${sites.collect('gtag')}' })`,
    field: 'cid',
    own: (visitor) => `${parseInt(visitor.slice(0, 8), 16)}.${parseInt(visitor.slice(-8), 16)}`,
  },
  'X8 matomo.js': {
    code: (hold) => `window._paq = ${hold('matomo', '(window._paq = [])', 'matomo')}
      _paq.push(['setTrackerUrl', '${sites.collect('matomo')}']); _paq.push(['setSiteId', '1']); _paq.push(['trackPageView'])`,
    field: '_id',
    own: (visitor) => visitor.replaceAll('-', '').slice(0, 16),
  },
}

for (const [name, { code, field, own }] of Object.entries(LIBRARIES)) {
  const path = (held) => {
    const hold = (name, library, script) =>
      held ? `throughline.hold('${name}', () => { ${LOAD(script)}; return ${library} })` : `(${LOAD(script)}, ${library})`
    return sites.page(`downloaded-${held}`, code(hold), { stub: held })
  }

  test(`${name}: the ID is in every request, on both sites (chromium)`, async () => {
    for (const site of [sites.shop, sites.learn]) {
      await page.open(site + path(true))
      const one = await visitor()
      for (const request of await sent(site)) assert.equal(request[field], own(one), JSON.stringify(request))
    }
  })

  test(`${name} control: without the SDK there is another ID on each site (chromium)`, async () => {
    const ids = []
    for (const site of [sites.shop, sites.learn]) {
      await page.open(site + path(false))
      ids.push((await sent(site))[0][field])
    }
    assert.ok(ids[0] && ids[1] && ids[0] !== ids[1], `${ids}`)
  })
}
