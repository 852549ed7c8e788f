// A browser, by WebDriver: Chromium, Firefox or WebKit, as Debian has them. Each has a driver and a home of its own.

import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './ports.mjs'

const DRIVERS = { chromium: 'chromedriver', firefox: 'geckodriver', webkit: 'WebKitWebDriver' }

function miniBrowser() {
  const folder = readdirSync('/usr/lib').find((name) => {
    try {
      return readdirSync(join('/usr/lib', name, 'webkit2gtk-4.1')).includes('MiniBrowser')
    } catch {
      return false
    }
  })
  return join('/usr/lib', folder, 'webkit2gtk-4.1/MiniBrowser')
}

function capabilities(engine, home) {
  switch (engine) {
    case 'chromium':
      return {
        browserName: 'chrome',
        'goog:loggingPrefs': { browser: 'ALL' },
        'goog:chromeOptions': {
          binary: '/usr/bin/chromium',
          args: [
            '--headless',
            '--no-sandbox',
            '--disable-gpu',
            '--disable-dev-shm-usage',
            '--disable-background-networking',
          ].concat(`--user-data-dir=${join(home, 'profile')}`),
        },
      }
    case 'firefox':
      return { browserName: 'firefox', 'moz:firefoxOptions': { binary: '/usr/bin/firefox-esr', args: ['-headless'] } }
    default:
      return {
        browserName: 'MiniBrowser',
        'webkitgtk:browserOptions': { binary: miniBrowser(), args: ['--automation'] },
      }
  }
}

/** Starts a browser with an empty profile. */
export async function browser(engine = 'chromium') {
  const port = await freePort()
  const home = mkdtempSync(join(tmpdir(), 'throughline-sdk-'))
  const command = [DRIVERS[engine], `--port=${port}`]
  if (engine === 'webkit') command.unshift('xvfb-run', '-a')
  const env = { ...process.env, HOME: home, TMPDIR: home, XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home, XDG_DATA_HOME: home }
  // A group of its own, so that the browsers end with their driver.
  const driver = spawn(command[0], command.slice(1), { env, stdio: 'ignore', detached: true })
  const base = `http://127.0.0.1:${port}`
  const command_ = async (method, path, body) => {
    const post = { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body ?? {}) }
    const answer = await fetch(base + path, { method, ...(method === 'POST' && post) })
    const { value } = await answer.json()
    if (!answer.ok) throw new Error(`${method} ${path}: ${value.error}: ${value.message}`)
    return value
  }
  const end = () => {
    try {
      process.kill(-driver.pid, 'SIGKILL')
    } catch {}
    rmSync(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }
  try {
    for (let tries = 0; ; tries++) {
      const ready = await fetch(`${base}/status`).then(
        (answer) => answer.ok,
        () => false,
      )
      if (ready) break
      if (tries > 200) throw new Error(`${command[0]} does not answer`)
      await sleep(50)
    }
    const { sessionId } = await command_('POST', '/session', { capabilities: { alwaysMatch: capabilities(engine, home) } })
    const session = `/session/${sessionId}`
    await command_('POST', `${session}/timeouts`, { script: 15000, pageLoad: 120000 })
    const run = (script, ...args) => command_('POST', `${session}/execute/sync`, { script, args })
    return {
      run,
      open: (url) => command_('POST', `${session}/url`, { url }),
      url: () => command_('GET', `${session}/url`),
      perform: (actions) => command_('POST', `${session}/actions`, { actions }),
      back: () => command_('POST', `${session}/back`),
      /** Forgets the cookies of the site it is on. */
      forgetCookies: () => command_('DELETE', `${session}/cookie`),
      tabs: () => command_('GET', `${session}/window/handles`),
      newTab: () => command_('POST', `${session}/window/new`, { type: 'tab' }),
      toTab: (handle) => command_('POST', `${session}/window`, { handle }),
      closeTab: () => command_('DELETE', `${session}/window`),
      /** Chromium's own log of the page: what the console says, and what a policy refused. */
      log: () => command_('POST', `${session}/se/log`, { type: 'browser' }),
      /** A command of Chromium's own protocol. */
      devtools: (cmd, params) => command_('POST', `${session}/goog/cdp/execute`, { cmd, params }),
      /** Clicks the link as a script does, and waits for the next page. */
      async follow(selector) {
        await run(`document.querySelector(${JSON.stringify(selector)}).click()`)
        await sleep(300)
        await this.until('document.readyState === "complete"')
      },
      async until(condition, patience = 8000) {
        const end = Date.now() + patience
        while (Date.now() < end) {
          const value = await run(`return ${condition}`).catch(() => undefined)
          if (value) return value
          await sleep(40)
        }
        throw new Error(`waited in vain for ${condition}; at ${await this.url()}`)
      },
      async close() {
        await command_('DELETE', session).catch(() => {})
        end()
      },
    }
  } catch (error) {
    end()
    throw error
  }
}
