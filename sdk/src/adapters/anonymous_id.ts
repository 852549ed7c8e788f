// The libraries that have a `setAnonymousId`: RudderStack, which wants it before it loads, and Jitsu.

import type { Adapter, Context } from '../types.js'

interface Library {
  setAnonymousId(id: string): void
}

const set = (library: Library, { visitor }: Context) => library.setAnonymousId(visitor)

export const anonymousId: Adapter = { start: set, reset: set }
