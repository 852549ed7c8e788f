// Makes dist/: the ES modules, the script that satellites serve, and the types; and demo/. Prints the sizes, and fails above the limits (rule X14).

import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { demoLibraries } from './demo_libraries.mjs'

const root = new URL('..', import.meta.url)
const at = (path) => new URL(path, root).pathname
rmSync(at('dist'), { recursive: true, force: true })

// Chromium 80, Firefox 78 and Safari 14 lack a few of the later ones.
const common = { bundle: true, minify: true, target: 'es2021', legalComments: 'none', absWorkingDir: at('.') }
await build({ ...common, entryPoints: ['src/global.ts'], format: 'iife', outfile: 'dist/sdk.js' })
await build({ ...common, entryPoints: ['src/hop.ts'], format: 'iife', outfile: 'dist/hop.js' })
await build({ ...common, entryPoints: ['src/index.ts'], format: 'esm', outfile: 'dist/index.js' })
await build({ ...common, entryPoints: ['src/core.ts'], format: 'esm', outfile: 'dist/core.js' })
await build({ ...common, bundle: false, entryPoints: ['snippet.js'], outfile: 'dist/snippet.js' })
execFileSync(process.execPath, [createRequire(import.meta.url).resolve('typescript/bin/tsc'), '--project', at('tsconfig.json')], {
  stdio: 'inherit',
})

const sizes = [
  ['core', 'dist/core.js', 2048],
  ['everything', 'dist/sdk.js', 4096],
  ['hop', 'dist/hop.js', 1024],
]
const lines = sizes.map(([name, path, limit]) => {
  const size = gzipSync(readFileSync(at(path)), { level: 9 }).length
  if (size > limit) process.exitCode = 1
  return `${name}: ${size} of ${limit} bytes, gzip -9${size > limit ? ': TOO LARGE' : ''}`
})
console.log(lines.join('\n'))
console.log(`the demo's libraries: ${await demoLibraries(at('.'))} bytes`)
