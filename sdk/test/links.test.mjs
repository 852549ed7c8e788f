// Links to the company's other sites (X15), by mouse and keyboard, in all three engines.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { company } from './support/company.mjs'
import { browser } from './support/webdriver.mjs'

const engines = (process.env.ENGINES ?? 'chromium firefox webkit').split(' ')

for (const engine of engines) {
  describe(engine, () => {
    let sites
    let page
    let went
    before(async () => {
      ;[sites, page] = await Promise.all([company(), browser(engine)])
      sites.requests.own = (_, path) => path === '/_throughline/go' && went++
    })
    after(async () => {
      await Promise.all([sites?.end(), page?.close()])
    })

    const start = async (body, code = '') => {
      went = 0
      await page.open(sites.shop + sites.page('links', `throughline.ready(() => { window.ready = true });${code}`, { body }))
      await page.until('window.ready')
    }
    /** A real press of a mouse's button in the middle of what `expression` is. */
    const press = async (expression, button = 0) => {
      const box = `(() => { const { left, top, width, height } = (${expression}).getBoundingClientRect(); return [left + width / 2, top + height / 2] })()`
      const [x, y] = (await page.run(`return ${box}`)).map(Math.round)
      const actions = [
        { type: 'pointerMove', duration: 0, x, y },
        { type: 'pointerDown', button },
        { type: 'pointerUp', button },
      ]
      await page.perform([{ type: 'pointer', id: 'mouse', parameters: { pointerType: 'mouse' }, actions }])
    }
    const landed = () => page.until(`location.origin === '${sites.learn}' && document.readyState === 'complete'`)
    const target = () => `${sites.learn}/index.html?x=1#part`

    test(`X15 a click goes through the satellite, and the visitor arrives with the ID and a clean address (${engine})`, async () => {
      await start(`<a id="a" href="${target()}"><b>a <i>child</i></b></a>`)
      const id = await page.run('return throughline.identity().visitor')
      await press('document.querySelector("i")')
      await landed()
      assert.equal(await page.url(), target())
      const me = await page.run(`return fetch('/_throughline/me').then((answer) => answer.json())`)
      assert.deepEqual([me.visitor, me.source, went], [id, 'link', 1])
    })

    test(`X15 keyboard, shadow DOM, links that came later, and areas (${engine})`, async () => {
      await start(`<a id="a" href="${target()}">a link</a>`)
      await page.run('document.querySelector("a").focus()')
      const enter = [
        { type: 'keyDown', value: '\uE007' },
        { type: 'keyUp', value: '\uE007' },
      ]
      await page.perform([{ type: 'key', id: 'keyboard', actions: enter }])
      await landed()
      assert.equal(went, 1, 'keyboard')

      await start('<div id="host"></div>')
      await page.run(
        `document.querySelector('#host').attachShadow({ mode: 'open' }).innerHTML = '<a href="${target()}"><b>in the shadow</b></a>'`,
      )
      await press('document.querySelector("#host").shadowRoot.querySelector("b")')
      await landed()
      assert.equal(went, 1, 'shadow')

      const pixel = 'data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=='
      await start(
        `<img src="${pixel}" width="80" height="80" usemap="#m"><map name="m"><area shape="default" href="${target()}"></map>`,
      )
      await press('document.querySelector("img")')
      await landed()
      assert.equal(went, 1, 'area')
    })

    test(`X15 the href is clean once the click is over, and other links are left alone (${engine})`, async () => {
      await start(
        `<a id="a" href="${target()}">a link</a><a id="own" href="/p">own</a><a id="far" href="https://far.example/">far</a><a id="mail" href="mailto:a@b.example">mail</a>`,
      )
      await page.run(
        `window.seen = []; addEventListener('click', (event) => { seen.push(event.target.getAttribute('href')); event.preventDefault() })`,
      )
      for (const id of ['a', 'own', 'far', 'mail']) await press(`document.querySelector('#${id}')`)
      await sleep(50)
      const [seen, now] = await page.run(
        `return [seen, [...document.querySelectorAll('a')].map((link) => link.getAttribute('href'))]`,
      )
      assert.match(seen[0], /\/_throughline\/go\?to=/)
      assert.deepEqual(seen.slice(1), now.slice(1))
      assert.deepEqual(now, [target(), '/p', 'https://far.example/', 'mailto:a@b.example'])
      await press(`document.querySelector('#a')`, 1)
      await sleep(50)
      assert.equal(await page.run(`return document.querySelector('#a').getAttribute('href')`), target())
    })

    test(`X15 window.open and location by throughline.link (${engine})`, async () => {
      await start('')
      await page.run(`location.href = throughline.link('${target()}')`)
      await landed()
      assert.equal(went, 1)
    })
  })
}
