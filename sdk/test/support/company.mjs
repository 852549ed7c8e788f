// A company of three sites with a real Throughline, an outside site that links in, and a collector that notes what analytics
// libraries send. One server of node stands before it all, so that a satellite can be made to hang.

import { execFileSync, spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { freePort } from './ports.mjs'
import { vendors } from './vendors.mjs'

const root = new URL('../../..', import.meta.url).pathname
const snippet = readFileSync(new URL('../../dist/snippet.js', import.meta.url), 'utf8')
const binary = join(process.env.CARGO_TARGET_DIR || join(root, 'target'), 'debug/throughline')

/** What a library sent, however it wrote it. */
function decoded(body) {
  const text = body[0] === 0x1f && body[1] === 0x8b ? gunzipSync(body).toString() : body.toString()
  for (const candidate of [text, new URLSearchParams(text).get('data') ?? '']) {
    for (const spelling of [candidate, Buffer.from(candidate, 'base64').toString()]) {
      try {
        return JSON.parse(spelling)
      } catch {}
    }
  }
  return text
}

/** `scripts` are files by the names under which pages load them, like `libraries`. */
export async function company({ consent = 'implied', libraries = [], scripts = {} } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'throughline-sdk-'))
  const [port, behind] = [await freePort(), await freePort()]
  const origin = (name) => `http://${name}.localhost:${port}`
  const [brand, shop, learn, news] = ['brand', 'shop', 'learn', 'news'].map(origin)
  const sites = ['--site', shop, '--site', learn, '--primary', brand]
  execFileSync(binary, ['init', '--profile', 'localhost', '--consent', consent, '--folder', folder, ...sites], {
    stdio: 'ignore',
  })
  const file = join(folder, 'throughline.toml')
  const text = readFileSync(file, 'utf8')
    .replace(`127.0.0.1:${port}`, `127.0.0.1:${behind}`)
    .replaceAll(/^consent = /gm, 'files = "pages"\nconsent = ')
    // Another company beside this one has its operators, too.
    .replace(/^address = .*/m, `address = "127.0.0.1:${await freePort()}"`)
  const pages = join(folder, 'pages')
  mkdirSync(join(pages, 'vendor'), { recursive: true })
  writeFileSync(file, text)
  await vendors(join(pages, 'vendor'), libraries)
  for (const [name, script] of Object.entries(scripts)) copyFileSync(script, join(pages, 'vendor', `${name}.js`))

  const requests = []
  // A page tells the collector which load of a page it is, since what a page sends when it is left may come late.
  let loads = 0
  let loadsBefore = 0
  const faults = {}
  let heldBack
  const policies = {}
  const server = createServer(async (asked, answer) => {
    const { pathname, searchParams } = new URL(asked.url, 'http://x')
    const chunks = []
    for await (const chunk of asked) chunks.push(chunk)
    const body = Buffer.concat(chunks)
    if (pathname.startsWith('/collect/')) {
      const [, , load, ...path] = pathname.split('/')
      if (asked.method !== 'OPTIONS' && load > loadsBefore) {
        requests.push({
          at: Date.now(),
          path: path.join('/'),
          from: asked.headers.origin ?? asked.headers.referer ?? '',
          query: Object.fromEntries(searchParams),
          body: decoded(body),
        })
      }
      const allowed = { 'access-control-allow-origin': asked.headers.origin ?? '*', 'access-control-allow-credentials': 'true' }
      allowed['access-control-allow-headers'] = asked.headers['access-control-request-headers'] ?? '*'
      answer.writeHead(200, { ...allowed, 'content-type': 'application/json' }).end('{}')
      return
    }
    if (asked.headers.host.startsWith('news.')) {
      answer.writeHead(200, { 'content-type': 'text/html' }).end(`<a href="${searchParams.get('to')}">a link</a>`)
      return
    }
    const fault = faults[pathname]
    requests.own?.(asked.method, pathname, asked)
    if (fault === 'hang') return
    if (fault) return answer.writeHead(fault).end()
    // Each load of a page is sent whole, so that it has its number.
    const headers = { ...asked.headers }
    delete headers['if-none-match']
    delete headers['if-modified-since']
    const onward = request(
      { host: '127.0.0.1', port: behind, method: asked.method, path: asked.url, headers },
      async (back) => {
        await heldBack?.(asked.method, pathname, body.toString())
        const policy = policies[pathname]
        const sent = { ...back.headers, ...(policy && { 'content-security-policy': policy }) }
        if (back.statusCode !== 200 || !sent['content-type']?.startsWith('text/html')) {
          answer.writeHead(back.statusCode, sent)
          back.pipe(answer)
          return
        }
        const html = Buffer.concat(await back.toArray()).toString().replaceAll('/collect/', `/collect/${++loads}/`)
        answer.writeHead(200, { ...sent, 'content-length': Buffer.byteLength(html) }).end(html)
      },
    )
    onward.on('error', () => answer.writeHead(502).end())
    onward.end(body)
  })
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve))
  const process_ = spawn(binary, ['serve', '--config', file], { stdio: process.env.VERBOSE ? 'inherit' : 'ignore' })
  const navigation = {
    'sec-fetch-mode': 'navigate',
    'sec-fetch-dest': 'document',
    'sec-fetch-site': 'cross-site',
    accept: 'text/html',
  }
  let clients = 1
  const status = (name, path) =>
    new Promise((resolve) => {
      // A client that comes again without cookies is sent nowhere (rule S16), so each is another.
      const agent = { 'user-agent': `Mozilla/5.0 (X11; Linux x86_64) Firefox/${clients++}` }
      const asked = request(
        { host: '127.0.0.1', port, path, headers: { ...navigation, ...agent, host: `${name}.localhost:${port}` } },
        (back) => {
          back.resume()
          resolve(back.statusCode)
        },
      )
      asked.on('error', () => resolve(0))
      asked.end()
    })
  writeFileSync(join(pages, 'index.html'), '<!doctype html><title>A page</title>')
  const wanted = consent === 'implied' ? 302 : 200
  for (let tries = 0; (await status('shop', '/')) !== wanted || (await status('learn', '/')) !== wanted; tries++) {
    if (tries > 200) {
      const last = await status('shop', '/')
      process_.kill('SIGKILL')
      throw new Error(`Throughline does not come up: ${last}`)
    }
    await sleep(50)
  }

  return {
    brand,
    shop,
    learn,
    news,
    requests,
    faults,
    collect: (name) => `${origin('collector')}/collect/${name}`,
    /** From here on only what pages send counts that are loaded from here on. */
    fresh() {
      loadsBefore = loads
      requests.length = 0
    },
    /** Keeps back the answers to the requests that `isMeant` names, until `release`. `reached` waits for the first of them. */
    holdBack(isMeant) {
      let release
      let reach
      const released = new Promise((resolve) => (release = resolve))
      const reached = new Promise((resolve) => (reach = resolve))
      heldBack = (method, path, body) => {
        if (!isMeant(method, path, body)) return
        reach()
        return released
      }
      return { reached, release }
    },
    holdNothingBack() {
      heldBack = undefined
    },
    /** Until `release`, no page learns the visitor: the satellite's answer does not come. */
    holdBackVisitor() {
      return this.holdBack((method, path) => method === 'GET' && path === '/_throughline/me')
    },
    /**
     * Writes a page. `code` runs in it. On a busy machine a page must not become provisional by accident, so the default timeout is long. `options` are attributes of the stub's tag; without `stub` there is no SDK.
     * `policy` is its Content-Security-Policy; the scripts have the nonce `n`.
     */
    page(
      path,
      code,
      { options = 'data-consent="implied" data-patience="20000" data-timeout="20000"', stub = true, load = [], head = '', body = '', policy } = {},
    ) {
      const file = join(pages, `${path}.html`)
      mkdirSync(dirname(file), { recursive: true })
      if (policy) policies[`/${path}.html`] = policy
      const scripts = [
        stub && `<script nonce="n" ${options}>${snippet}</script>`,
        ...load.map((name) => `<script nonce="n" src="/vendor/${name}.js"></script>`),
        code && `<script nonce="n">${code}</script>`,
      ]
      writeFileSync(
        file,
        `<!doctype html><html><head><meta charset="utf-8"><title>${path}</title>${head}${scripts.filter(Boolean).join('\n')}</head><body>${body}</body></html>`,
      )
      return `/${path}.html`
    },
    /** From the outside site to `url`. */
    arriving: (url) => `${news}/story?to=${encodeURIComponent(url)}`,
    async end() {
      process_.kill('SIGKILL')
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
