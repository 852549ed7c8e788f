// The object that stands in for a held library. It takes any call, notes when and where it was made, and gives a promise of the result.

import type { Held } from './types.js'

export function standIn(held: Held, path: string[] = []): unknown {
  return new Proxy(() => {}, {
    // Whoever awaits it must not wait for ever.
    get: (_, name) => (typeof name === 'string' && name !== 'then' ? standIn(held, [...path, name]) : undefined),
    apply: (_, __, args: unknown[]) =>
      new Promise((done) =>
        held.calls.push({ path, args, moment: { at: Date.now(), url: location.href, title: document.title }, done }),
      ),
  })
}
