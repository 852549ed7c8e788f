// Plausible knows no visitors. Whoever wants it has the ID as a custom property, by hold('plausible', ...): nothing else sends it.

import type { Adapter } from '../types.js'

interface Request {
  p?: object
}

export const plausible: Adapter = {
  calls: {
    init({ args }, { visitor }) {
      const config = args[0] as { transformRequest?: (request: Request) => Request | null }
      args[0] = {
        ...config,
        transformRequest(request: Request) {
          request.p = { ...request.p, visitor: visitor }
          return config.transformRequest ? config.transformRequest(request) : request
        },
      }
    },
  },
}
