// Amplitude. It takes the ID at its start and after a reset; the page's address cannot change it (rule X7).

import type { Adapter } from '../types.js'

interface Amplitude {
  setDeviceId(id: string): void
}

export const amplitude: Adapter = {
  call({ path, args, moment }, next, _, { identity }) {
    const [method] = path
    if (method === 'init') {
      const at = typeof args[1] === 'object' ? 1 : 2
      args[at] = { ...(args[at] as object), deviceId: identity.visitor }
    }
    if (method === 'track') args[2] = { time: moment.at, ...(args[2] as object) }
    return next()
  },
  reset: (library: Amplitude, { identity }) => library.setDeviceId(identity.visitor),
}
