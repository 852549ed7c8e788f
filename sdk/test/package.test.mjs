// What is published: sizes, dependencies, exports, types. No browser is needed.

import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'

const read = (path) => readFileSync(new URL(`../${path}`, import.meta.url))
const manifest = JSON.parse(read('package.json'))

test('x14 the core is at most 4 KB and everything at most 5.5 KB, and there are no dependencies', () => {
  for (const [path, limit] of [
    ['dist/core.js', 4096],
    ['dist/sdk.js', 5632],
  ]) {
    const size = gzipSync(read(path), { level: 9 }).length
    assert.ok(size <= limit, `${path}: ${size} of ${limit}`)
  }
  assert.deepEqual([manifest.dependencies, manifest.peerDependencies], [undefined, undefined])
})

test('X16 the package has what its manifest names, and can be imported', async () => {
  const targets = Object.values(manifest.exports).flatMap((target) =>
    typeof target === 'string' ? [target] : Object.values(target),
  )
  for (const target of targets) assert.ok(existsSync(new URL(`../${target}`, import.meta.url)), target)
  const names = Object.keys(await import('../dist/index.js')).sort()
  assert.deepEqual(names, ['adapters', 'decorateLinks', 'holder', 'segmentPlugin', 'start'])
})

test('X13 no eval, and no handler that is text', () => {
  for (const path of ['dist/sdk.js', 'dist/snippet.js'])
    assert.doesNotMatch(read(path).toString(), /\beval\b|new Function|setAttribute\("on/)
})
