// The core, in all three engines, against a real Throughline: one ID, one request, consent, a satellite that hangs, referrers.

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { company } from './support/company.mjs'
import { browser } from './support/webdriver.mjs'

const engines = (process.env.ENGINES ?? 'chromium firefox webkit').split(' ')
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
/** A library that notes what it is told, and tells the collector. */
const NOTES = (collect) => `
  window.seen = []
  window.made = 0
  const real = { track(...args) { seen.push(args); fetch('${collect}', { method: 'POST', body: JSON.stringify(args) }) } }
  window.library = throughline.hold('test', () => { made = Date.now(); return real })
  window.begun = Date.now()
  throughline.on('error', (code) => (window.codes ??= []).push(code))
`

for (const engine of engines) {
  describe(engine, () => {
    let sites
    let asking
    let page
    before(async () => {
      // One after the other: what began must be ended if the next fails.
      sites = await company()
      asking = await company({ consent: 'required' })
      page = await browser(engine)
    })
    afterEach(() => {
      delete sites.faults['/_throughline/me']
      sites.holdNothingBack()
      asking.holdNothingBack()
    })
    after(async () => {
      await Promise.all([sites?.end(), asking?.end(), page?.close()])
    })

    test(`X16 the stub's calls are answered, and both sites tell one ID (${engine})`, async () => {
      const path = sites.page('one', `throughline.ready((who) => { window.who = who }); throughline.identity()`)
      await page.open(sites.shop + path)
      const first = await page.until('window.who')
      assert.match(first.visitor, UUID)
      assert.equal(first.source, 'broker')
      await page.open(sites.learn + path)
      const second = await page.until('window.who')
      assert.equal(second.visitor, first.visitor)
      assert.deepEqual(await page.run('return [throughline.consent(), throughline.identity().visitor]'), [
        'granted',
        first.visitor,
      ])
    })

    test(`X16 one request at most, and none when the page carries it (${engine})`, async () => {
      const asked = []
      sites.requests.own = (method, path) => path === '/_throughline/me' && asked.push(method)
      const code = `throughline.ready((who) => { window.who = who })`
      await page.open(sites.shop + sites.page('asks', code))
      const who = await page.until('window.who')
      assert.equal(asked.length, 1)
      const me = { visitor: who.visitor, source: 'broker', consent: 'granted', first_touch: null, properties: {}, record: 'none' }
      const head = `<script type="application/json" id="throughline-me">${JSON.stringify(me)}</script>`
      await page.open(sites.shop + sites.page('carries', code, { head }))
      assert.equal((await page.until('window.who')).visitor, who.visitor)
      assert.equal(asked.length, 1)
      sites.requests.own = undefined
    })

    /** What a comment may bring along, before the SDK's own tags. */
    const INJECTED = () => {
      const granted = JSON.stringify({ visitor: '00000000-0000-4000-8000-000000000000', source: 'broker', consent: 'granted' })
      return {
        'page data that is no script': `<div id="throughline-me">${granted}</div>`,
        'page data in a template': `<template id="throughline-me">${granted}</template><textarea id="throughline-me">${granted}</textarea>`,
        'a link that is no hop': `<a id="throughlineHop" href="${sites.news}/">x</a>`,
        'a frame that is no hop': `<iframe name="throughlineHop" src="about:blank"></iframe>`,
        'a form that is no stub': `<form id="throughline"><input name="late"><input name="queue"><input name="options" data-consent="implied"></form>`,
        'two links that are no stub': `<a id="throughline">x</a><a id="throughline" name="late">x</a>`,
        'an image that is no script': `<img name="currentScript" data-consent="implied" data-sites="${sites.news}">`,
        'an image that is no function': `<img name="getElementById"><img name="querySelector">`,
        'an image that is no referrer': `<img name="referrer">`,
      }
    }
    const TAG = '<script nonce="n" src="/_throughline/sdk.js"></script>'

    test(`x23 an element that a comment can inject gives no consent and no ID (${engine})`, async () => {
      for (const [what, element] of Object.entries(INJECTED())) {
        for (const stub of [true, false]) {
          const name = `injected-${stub}`
          asking.page(name, '', { stub, head: element + (stub ? '' : TAG), options: '' })
          await page.open(`${asking.shop}/${name}.html`)
          await page.until(`performance.getEntriesByName(location.origin + '/_throughline/me').length`)
          await page.until('!throughline.queue && throughline.consent')
          assert.deepEqual(
            await page.run('return [throughline.consent(), throughline.identity(), localStorage.length]'),
            ['unknown', null, 0],
            `${what}, ${stub ? 'stub' : 'tag'}`,
          )
        }
      }
    })

    test(`x23 an element that a comment can inject takes the ID from no visitor, and names no site (${engine})`, async () => {
      await page.open(sites.shop + sites.page('not-injected', ''))
      const visitor = await page.until('throughline.identity?.()?.visitor')
      for (const [what, element] of Object.entries(INJECTED())) {
        for (const stub of [true, false]) {
          const name = `injected-${stub}`
          sites.page(name, '', { stub, head: element + (stub ? '' : TAG), options: 'data-consent="implied" data-timeout="20000"' })
          await page.open(`${sites.shop}/${name}.html`)
          const how = `${what}, ${stub ? 'stub' : 'tag'}`
          const who = await page.until('typeof throughline.identity === "function" && throughline.identity()').catch(() => how)
          assert.deepEqual([who.visitor, who.source], [visitor, 'broker'], how)
          assert.equal(await page.run(`return throughline.link('${sites.news}/')`), `${sites.news}/`, how)
          assert.match(await page.run(`return throughline.link('${sites.learn}/')`), /^http:..shop.*_throughline.go/, how)
        }
      }
    })

    test(`x23 page data that is no JSON object is reported, and the satellite is asked (${engine})`, async () => {
      for (const data of ['7', '[1]', '"granted"', 'true', '{']) {
        const head = `<script type="application/json" id="throughline-me">${data}</script>`
        const code = `window.codes = []; throughline.on('error', (code) => codes.push(code))`
        await page.open(sites.shop + sites.page('no-object', code, { head }))
        assert.equal(await page.until('throughline.identity()?.source'), 'broker', data)
        assert.deepEqual(await page.run('return codes'), ['bad_page_data'], data)
      }
    })

    test(`X4 an own site is never the referrer, an outside one is (${engine})`, async () => {
      const code = `throughline.ready(() => { window.referrer = document.referrer })`
      const path = sites.page('referrer', code, { body: `<a href="${sites.learn}/referrer.html">on</a>` })
      await page.open(sites.arriving(sites.shop + path))
      await page.follow('a')
      const outside = await page.until('window.referrer')
      assert.equal(new URL(outside).origin, sites.news)
      await page.follow('a')
      await page.until(`location.origin === '${sites.learn}' && window.referrer !== undefined`)
      const seen = await page.run('return document.referrer')
      assert.ok(seen === '' || new URL(seen).origin === sites.news, seen)
      await page.open(sites.shop + path)
      assert.equal(
        await page.until('window.referrer !== undefined && [window.referrer]').then(([referrer]) => referrer),
        '',
        'direct',
      )
      sites.page('as-it-is', code, { options: 'data-consent="implied" data-referrer="off"' })
      await page.open(sites.shop + sites.page('to-as-it-is', '', { body: `<a href="${sites.learn}/as-it-is.html">on</a>` }))
      await page.follow('a')
      await page.until(`location.origin === '${sites.learn}' && window.referrer`)
      assert.equal(new URL(await page.run('return document.referrer')).origin, sites.shop)
    })

    test(`X10 before ready nothing is sent (${engine})`, async () => {
      const visitor = sites.holdBackVisitor()
      const path = sites.page('held', `${NOTES(sites.collect('held'))} library.track('early')`, {
        options: 'data-consent="implied" data-timeout="20000"',
      })
      await page.open(sites.shop + path)
      await page.until('Date.now() - begun > 1200')
      assert.deepEqual(await page.run('return [made, seen]'), [0, []])
      assert.equal(sites.requests.filter(({ path }) => path === 'held').length, 0)
      visitor.release()
      await page.until('seen.length === 1')
    })

    test(`X11 a hanging or failing satellite: the libraries start in time, provisional, with every event (${engine})`, async () => {
      const timer = `addEventListener('load', ({ target }) => {
        if (/sdk.js$/.test(target.src)) setTimeout(() => { window.due = Date.now() }, 600)
      }, true)`
      const path = sites.page('hangs', `${NOTES(sites.collect('hangs'))} ${timer}; library.track(1); library.track(2)`, {
        options: 'data-consent="implied" data-timeout="600"',
      })
      await page.open(sites.shop + path)
      let kept
      for (const fault of ['hang', 500, 404]) {
        sites.faults['/_throughline/me'] = fault
        await page.open(sites.shop + path)
        await page.until('seen.length === 2')
        assert.deepEqual(await page.run('return seen'), [[1], [2]])
        const who = await page.run('return throughline.identity()')
        assert.equal(who.source, 'provisional')
        assert.match(who.visitor, UUID)
        kept ??= who.visitor
        assert.equal(who.visitor, kept, 'it stays until there is a better one')
        // Against a timer of the page that began with the SDK, so that a busy machine does not count.
        const late = await page.run('return window.due ? made - due : 0')
        assert.ok(late < 200, `${fault}: ${late} ms after the timeout`)
        assert.deepEqual(await page.run('return codes'), ['no_satellite', 'unknown_adapter'])
      }
      delete sites.faults['/_throughline/me']
      await page.open(sites.shop + path)
      await page.until('seen.length === 2')
      assert.notEqual(await page.run('return throughline.identity().visitor'), kept)
      assert.equal(await page.run('return localStorage.length'), 0)
    })

    test(`x20 a page that subscribes late hears of the identity, the consent and the alias, once (${engine})`, async () => {
      const subscribe = `['ready', 'consent', 'alias'].forEach((event) => throughline.on(event, (detail) => heard.push([event, detail])))`
      const path = sites.page('late', `window.heard = []; throughline.ready(() => setTimeout(() => { ${subscribe}; window.subscribed = true }))`)
      sites.faults['/_throughline/me'] = 500
      await page.open(sites.shop + path)
      const { visitor: from, source } = await page.until('window.subscribed && throughline.identity()')
      assert.equal(source, 'provisional')
      delete sites.faults['/_throughline/me']
      await page.open(sites.shop + path)
      const { visitor: to } = await page.until('window.subscribed && throughline.identity()')
      const heard = Object.fromEntries(await page.run('return heard'))
      assert.deepEqual([heard.ready.visitor, heard.consent, heard.alias], [to, 'granted', { from, to }])
      assert.equal(await page.run('return heard.length'), 3)
      await page.open(sites.shop + path)
      await page.until('window.subscribed')
      assert.deepEqual(await page.run('return heard.map(([event]) => event)'), ['ready', 'consent'])
    })

    test(`X11 nobody said whether visitors must be asked: nothing starts while the satellite is silent (${engine})`, async () => {
      sites.faults['/_throughline/me'] = 500
      const path = sites.page('unsaid', `${NOTES(sites.collect('unsaid'))} library.track(1)`, { options: '' })
      await page.open(sites.shop + path)
      await page.until('window.codes?.includes("no_policy")')
      assert.deepEqual(await page.run('return [made, throughline.consent(), localStorage.length]'), [0, 'unknown', 0])
      delete sites.faults['/_throughline/me']
    })

    test(`X11 sdk.js is blocked: the libraries start without it, and no event is lost (${engine})`, async () => {
      for (const [consent, started] of [
        ['implied', true],
        ['required', false],
      ]) {
        const path = sites.page(`blocked-${consent}`, `${NOTES(sites.collect('blocked'))} library.track(1); library.track(2)`, {
          options: `data-consent="${consent}" data-src="/_throughline/blocked.js"`,
        })
        // The page has loaded once the browser has given up on the script.
        await page.open(sites.shop + path)
        if (started) await page.until('seen.length === 2')
        assert.deepEqual(await page.run('return seen'), started ? [[1], [2]] : [], consent)
        await page.run('library.track(3)')
        assert.equal(await page.run('return seen.length'), started ? 3 : 0)
      }
    })

    test(`x11 x13 a library that the page holds after sdk.js was blocked starts too, and one that fails harms no other (${engine})`, async () => {
      const late = `const wait = setInterval(() => {
        if (!throughline.late) return
        clearInterval(wait)
        window.seen = []
        throughline.hold('broken', () => { throw new Error('its own') }).track()
        const library = throughline.hold('test', () => ({ fail() { throw new Error('its own') }, track: (value) => seen.push(value) }))
        library.track(1)
        library.fail()
        library.track(2)
      }, 10)`
      const path = sites.page('blocked-early', late, {
        options: 'data-consent="implied" data-src="/_throughline/blocked.js"',
      })
      await page.open(sites.shop + path)
      await page.until('window.seen?.length === 2')
      assert.deepEqual(await page.run('return seen'), [1, 2])
    })

    test(`X16 whatever a page passes in, nothing is thrown at it (${engine})`, async () => {
      const path = sites.page(
        'nonsense',
        `window.codes = []; window.errors = []
         addEventListener('error', (event) => errors.push(event.message))
         addEventListener('unhandledrejection', (event) => errors.push(String(event.reason)))
         throughline.on('error', (code) => codes.push(code))
         throughline.hold('nothing', { track() { throw new Error('its own') } }).track()
         throughline.hold('segment').track()
         throughline.hold('mixpanel', () => { throw new Error('blocked') }).track()
         throughline.hold('constructor', {}).a.b.c()
         throughline.hold()
         throughline.register('x'); throughline.registerOnce(null); throughline.consent('maybe'); throughline.ready(() => { throw new Error('page') })
         throughline.ready(7); throughline.on('ready', 7); throughline.on(7); throughline.on('constructor', 7)
         throughline.ready(() => { for (const url of ['http://[', 'javascript:alert(1)', '', 'x', null, undefined, {}, '//evil.example']) throughline.link(url); window.done = true })`,
      )
      await page.open(sites.shop + path)
      await page.until('window.done')
      await sleep(200)
      const [codes, errors, kept] = await page.run(
        `return [codes.sort(), errors, ['javascript:alert(1)', 'mailto:a@b.example', '/p', 'https://evil.example/'].map((url) => throughline.link(url))]`,
      )
      assert.deepEqual(errors, [])
      const expected = [
        'bad_choice',
        'bad_properties',
        'bad_url',
        'call_failed',
        'callback_failed',
        'library_failed',
        'no_library',
        'unknown_adapter',
      ]
      assert.deepEqual(codes, expected)
      assert.deepEqual(kept, ['javascript:alert(1)', 'mailto:a@b.example', '/p', 'https://evil.example/'])
    })

    const me = () => page.run(`return fetch('/_throughline/me').then((answer) => answer.json())`)
    /** Keeps back the answer to a POST whose body has `word`. */
    const heldBack = (at, word) => at.holdBack((method, path, body) => method === 'POST' && body.includes(word))

    test(`x3 two changes of properties at once are both kept, also when the first answer comes last (${engine})`, async () => {
      const path = sites.page('in-order', `window.told = []; throughline.on('properties', (now) => told.push(now))`)
      await page.open(sites.shop + path)
      await page.until('throughline.identity()?.source === "broker"')
      const first = heldBack(sites, 'slow')
      await page.run(`throughline.register({ slow: 1, both: 1 }); throughline.registerOnce({ once: 2 }); throughline.register({ both: 3 })`)
      await first.reached
      // The page itself sees its changes at once. A change that overtakes the first one has time to do so.
      await page.until('throughline.identity().properties.both === 3')
      await sleep(300)
      first.release()
      await page.until('told.length === 3')
      const wanted = { slow: 1, once: 2, both: 3 }
      assert.deepEqual(await page.run('return throughline.identity().properties'), wanted)
      assert.deepEqual((await me()).properties, wanted)
    })

    test(`x3 a change that fails takes no other with it, on the page or at the broker (${engine})`, async () => {
      const path = sites.page('one-fails', `window.told = []; throughline.on('properties', (now) => told.push(now))`)
      await page.open(sites.learn + path)
      await page.until('throughline.identity()?.source === "broker"')
      const before = (await me()).properties
      // The broker takes no key of that form.
      await page.run(`throughline.register({ 'a\\u0000b': 1, over: 1 }); throughline.register({ good: 2, over: 2 }); throughline.registerOnce({ next: 3 })`)
      await page.until('told.length === 3')
      const { 'a\u0000b': failed, ...seen } = await page.run('return throughline.identity().properties')
      assert.equal(failed, 1, 'it holds on this page')
      assert.deepEqual(seen, { ...before, good: 2, over: 2, next: 3 })
      assert.deepEqual((await me()).properties, { ...before, good: 2, over: 2, next: 3 })
    })

    test(`x3 a change that waits is sent when the browser leaves the page (${engine})`, async () => {
      await page.open(sites.shop + sites.page('leaves', ''))
      await page.until('throughline.identity()?.source === "broker"')
      const first = heldBack(sites, 'hung')
      await page.run(`throughline.register({ hung: 1 }); throughline.register({ waiting: 1 })`)
      await first.reached
      await page.open(sites.learn + sites.page('left-for', ''))
      await page.until('throughline.identity()?.source === "broker"')
      for (let tries = 0; !(await me()).properties.waiting; tries++) {
        assert.ok(tries < 100, JSON.stringify(await me()))
        await sleep(50)
      }
      first.release()
    })

    test(`x12 of two choices the later one counts, also when the answer to the first comes last (${engine})`, async () => {
      const path = asking.page('both', `${NOTES(asking.collect('both'))} library.track(1)`, { options: 'data-consent="required"' })
      await page.open(asking.shop + path)
      await page.until('throughline.consent && throughline.queue === undefined')
      const yes = heldBack(asking, 'granted')
      await page.run(`throughline.consent('granted').then((now) => { window.yes = now }); 0`)
      await yes.reached
      await page.run(`throughline.consent('denied').then((now) => { window.no = now }); 0`)
      assert.equal(await page.run('return throughline.consent()'), 'denied')
      await sleep(300)
      yes.release()
      await page.until('window.no')
      assert.deepEqual(await page.run('return [window.yes, no, throughline.consent(), throughline.identity(), seen]'), [
        'denied',
        'denied',
        'denied',
        null,
        [],
      ])
      assert.equal((await me()).consent, 'denied')
    })

    // The last, since cookies do not heed ports: the refusal reaches the other company's sites too.
    test(`X12 no consent: nothing is sent or stored; given later, everything starts; withdrawn, nothing goes on (${engine})`, async () => {
      const path = asking.page('asks', `${NOTES(asking.collect('asks'))} library.track(1)`, {
        options: 'data-consent="required"',
      })
      await page.open(asking.shop + path)
      await page.until('throughline.consent && throughline.queue === undefined')
      await sleep(500)
      assert.deepEqual(asking.requests, [])
      assert.deepEqual(await page.run('return [made, document.cookie, localStorage.length, sessionStorage.length]'), [
        0,
        '',
        0,
        0,
      ])
      await page.run(`throughline.consent('granted')`)
      await page.until('seen.length === 1')
      assert.equal(await page.run('return throughline.consent()'), 'granted')
      await page.run(`throughline.forget().then((now) => { window.after = now }); library.track(2)`)
      assert.equal(await page.until('window.after'), 'denied')
      assert.deepEqual(await page.run('return [seen, throughline.identity(), localStorage.length]'), [[[1]], null, 0])
      // A page that subscribes now hears of the refusal, and of no ID.
      await page.run(`window.heard = []; for (const event of ['ready', 'consent', 'alias']) throughline.on(event, (detail) => heard.push(detail))`)
      assert.deepEqual(await page.run('return heard.map(String)'), ['denied'])
    })
  })
}
