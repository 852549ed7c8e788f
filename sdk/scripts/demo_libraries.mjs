// Makes demo/: the analytics libraries of `throughline demo`, each as one script that sets `window.Vendor.<name>`, and their licences.
// They are in the binary, so what is not free to be handed on fails the build.

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { build } from 'esbuild'

/** Mixpanel without its recorder of whole visits, which is more than all the rest. */
const LIBRARIES = {
  analytics: `export { default } from 'analytics'`,
  jitsu: `export { jitsuAnalytics } from '@jitsu/js'`,
  mixpanel: `export { default } from 'mixpanel-browser/src/loaders/loader-module-core.js'`,
  plausible: `export * from '@plausible-analytics/tracker'`,
  segment: `export { AnalyticsBrowser } from '@segment/analytics-next'`,
  snowplow: `export * from '@snowplow/browser-tracker'`,
}
/** What a package has inside without saying so. */
const INSIDE = { '@jitsu/js': ['@jitsu/js/node_modules/analytics'] }
const FREE = ['0BSD', 'Apache-2.0', 'BSD-3-Clause', 'ISC', 'MIT']
const SIZE_MAX = 600_000

/** A licence in words, where the manifest only points at a file. */
function licenceOf(manifest, text) {
  if (FREE.includes(manifest.license)) return manifest.license
  if (/^SEE LICENSE/.test(manifest.license) && /permission is hereby granted, free of charge/i.test(text)) return 'MIT'
  throw new Error(`${manifest.name}: may it be handed on? ${manifest.license}`)
}

/** Of a package without a file, what its read-me says. */
function licenceText(folder, manifest) {
  const files = readdirSync(folder)
  const file = files.find((name) => /^licen[cs]e/i.test(name))
  if (file) return readFileSync(join(folder, file), 'utf8').trim()
  const readme = files.find((name) => /^readme/i.test(name))
  const said = readme && readFileSync(join(folder, readme), 'utf8').split(/^#+ *licen[cs]e.*$/im)[1]
  const author = manifest.author?.name ?? manifest.author
  return [said?.split(/^#/m)[0].trim(), author && `Author: ${author}`].filter(Boolean).join('\n')
}

/** The packages whose code is in a bundle. */
function packagesIn({ outputs }) {
  const [{ inputs }] = Object.values(outputs)
  const used = Object.entries(inputs).filter(([path, { bytesInOutput }]) => bytesInOutput > 0 && path.startsWith('node_modules/'))
  const names = used.map(([path]) => path.match(/^node_modules\/((?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+)/)[1])
  return names.flatMap((name) => [name, ...(INSIDE[name] ?? [])])
}

/** Gives the size of them all. */
export async function demoLibraries(root) {
  const folder = join(root, 'demo')
  rmSync(folder, { recursive: true, force: true })
  const packages = new Set()
  let size = 0
  for (const [name, source] of Object.entries(LIBRARIES)) {
    const { metafile } = await build({
      stdin: { contents: source, resolveDir: root },
      absWorkingDir: root,
      bundle: true,
      minify: true,
      target: 'es2021',
      format: 'iife',
      globalName: `Vendor.${name}`,
      outfile: `demo/${name}.js`,
      legalComments: 'eof',
      metafile: true,
      define: { 'process.env.NODE_ENV': '"production"', global: 'window' },
    })
    packagesIn(metafile).forEach((one) => packages.add(one))
    size += Object.values(metafile.outputs)[0].bytes
  }
  const licences = [...packages].sort().map((name) => {
    const from = join(root, 'node_modules', name)
    const manifest = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8'))
    const text = licenceText(from, manifest)
    return `== ${manifest.name} ${manifest.version}: ${licenceOf(manifest, text)}\n\n${text}\n`
  })
  const head = `The scripts beside this file hold these packages, as published and minified. Each of their licences allows to hand them on.
${basename(import.meta.url)} made both.\n`
  writeFileSync(join(folder, 'NOTICE'), [head, ...licences].join('\n').replaceAll('\r', ''))
  if (size > SIZE_MAX) throw new Error(`the demo's libraries are ${size} bytes, and may be ${SIZE_MAX}`)
  return size
}
