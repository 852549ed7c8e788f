#!/usr/bin/env node
// Takes the pictures in docs/ again, in headless Chromium:   npm ci --prefix sdk; cargo build; scripts/screenshots.mjs [folder]
// With a folder, it takes more of them, and puts them there: each page, light and dark, wide and as on a phone.

import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { smaller } from '../sdk/test/support/png.mjs'
import { freePort } from '../sdk/test/support/ports.mjs'
import { browser } from '../sdk/test/support/webdriver.mjs'

const root = new URL('..', import.meta.url).pathname
const binary = join(process.env.CARGO_TARGET_DIR || join(root, 'target'), 'debug/throughline')
const WIDE = { width: 1280, height: 900, mobile: false }
const PHONE = { width: 390, height: 800, mobile: true }

const folder = process.argv[2]
if (folder) mkdirSync(folder, { recursive: true })
const port = await freePort()
const demo = spawn(binary, ['demo', '--port', `${port}`], { stdio: ['ignore', 'pipe', 'inherit'] })
await new Promise((resolve, reject) => {
  demo.stdout.once('data', resolve)
  demo.once('error', reject)
  demo.once('exit', () => reject(new Error('the demo has ended')))
})
const page = await browser()
await page.devtools('Emulation.setScrollbarsHidden', { hidden: true })

/** As a file, seen so. `whole`: with all that is below. */
async function picture(file, scheme, { whole = false, ...size }) {
  await page.devtools('Emulation.setDeviceMetricsOverride', { deviceScaleFactor: 1, ...size })
  await page.devtools('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] })
  const { data } = await page.devtools('Page.captureScreenshot', { format: 'png', captureBeyondViewport: whole })
  writeFileSync(file, smaller(Buffer.from(data, 'base64')))
  console.log(file)
}

/** In all ways, if somebody wants to look. */
async function all(name) {
  if (!folder) return
  for (const scheme of ['light', 'dark']) {
    await picture(join(folder, `${name}-wide-${scheme}.png`), scheme, WIDE)
    await picture(join(folder, `${name}-phone-${scheme}.png`), scheme, { ...PHONE, whole: true })
  }
}

/** So many rows have come. */
const rows = (count) => page.until(`document.querySelectorAll('#rows tr').length >= ${count}`, 20_000)

try {
  const news = `http://news.localhost:${port}/`
  await page.open(news)
  await all('news')
  // A first visitor is sent nowhere before the broker is known to answer.
  for (let tries = 0; tries < 20; tries++) {
    await page.follow('#to-shop')
    if ((await page.run(`return document.getElementById('visitor').textContent`)) !== 'none') break
    await page.open(news)
  }
  await rows(6)
  await page.run(`document.getElementById('remember').click()`)
  await page.until(`document.getElementById('properties').textContent.includes('gold')`)
  await page.follow('#to-learn')
  await rows(12)
  await picture(join(root, 'docs/demo.png'), 'light', WIDE)
  await all('learn')
  await page.follow('#to-brand')
  await rows(18)
  await all('brand')
  await page.open(`http://shop.localhost:${port}/products?control`)
  await rows(24)
  await page.follow('#to-learn')
  await rows(30)
  await all('control')
} finally {
  await page.close()
  demo.kill('SIGKILL')
}
