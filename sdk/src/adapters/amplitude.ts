// Amplitude. It takes the ID at its start and after a reset; the page's address cannot change it (rule X7).

import type { Adapter } from '../types.js'

interface Amplitude {
  setDeviceId(id: string): void
}

export const amplitude: Adapter = {
  calls: {
    // init(key, options) or init(key, user, options)
    init({ args }, { visitor }) {
      const at = typeof args[1] === 'object' ? 1 : 2
      args[at] = { ...(args[at] as object), deviceId: visitor }
    },
    track({ args, moment }) {
      args[2] = { time: moment.at, ...(args[2] as object) }
    },
  },
  reset: (library: Amplitude, { visitor }) => library.setDeviceId(visitor),
}
