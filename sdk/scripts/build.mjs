// Makes dist/: the ES modules, the script that satellites serve, and the types; and demo/. Prints the sizes, and fails above the limits (rule X14).

import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { minify } from 'terser'
import { demoLibraries } from './demo_libraries.mjs'

const root = new URL('..', import.meta.url)
const at = (path) => new URL(path, root).pathname
rmSync(at('dist'), { recursive: true, force: true })

// Chromium 85, Firefox 79 and Safari 14 have all of it.
const common = { bundle: true, minify: true, target: 'es2021', legalComments: 'none', tsconfigRaw: '{}', absWorkingDir: at('.') }
await build({ ...common, entryPoints: ['src/global.ts'], format: 'iife', outfile: 'dist/sdk.js' })
await build({ ...common, entryPoints: ['src/hop.ts'], format: 'iife', outfile: 'dist/hop.js' })
await build({ ...common, entryPoints: ['src/index.ts'], format: 'esm', outfile: 'dist/index.js' })
await build({ ...common, entryPoints: ['src/core.ts'], format: 'esm', outfile: 'dist/core.js' })
await build({ ...common, bundle: false, entryPoints: ['snippet.js'], outfile: 'dist/snippet.js' })
// terser, after esbuild, saves the better part of 5 %.
for (const file of ['sdk.js', 'hop.js', 'index.js', 'core.js', 'snippet.js']) {
  const path = at(`dist/${file}`)
  // No property that is read here does anything.
  const compress = { passes: 3, unsafe_arrows: true, pure_getters: true }
  const options = { ecma: 2020, toplevel: true, module: /^(index|core)/.test(file), compress }
  writeFileSync(path, (await minify(readFileSync(path, 'utf8'), options)).code)
}
execFileSync(process.execPath, [createRequire(import.meta.url).resolve('typescript/bin/tsc'), '--project', at('tsconfig.json')], {
  stdio: 'inherit',
})

const sizes = [
  ['core', 'dist/core.js', 4096],
  ['everything', 'dist/sdk.js', 5632],
  ['hop', 'dist/hop.js', 1024],
]
const lines = sizes.map(([name, path, limit]) => {
  const size = gzipSync(readFileSync(at(path)), { level: 9 }).length
  if (size > limit) process.exitCode = 1
  return `${name}: ${size} of ${limit} bytes, gzip -9${size > limit ? ': TOO LARGE' : ''}`
})
console.log(lines.join('\n'))
console.log(`the demo's libraries: ${await demoLibraries(at('.'))} bytes`)
