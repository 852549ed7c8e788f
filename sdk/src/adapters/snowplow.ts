// Snowplow. Its ID cannot be set, so it is put on each event on its way out.

import type { Adapter } from '../types.js'

interface Payload {
  add(key: string, value: string): void
}

export const snowplow: Adapter = {
  calls: {
    newTracker({ args }, { visitor }) {
      const { plugins = [], ...rest } = Object(args[2])
      args[2] = { ...rest, plugins: [...plugins, { beforeTrack: (event: Payload) => event.add('duid', visitor) }] }
    },
  },
}
