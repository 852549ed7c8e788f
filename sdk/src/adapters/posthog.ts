// PostHog. It takes the ID at its start, unless somebody is logged in (rule X2).

import { kept } from '../storage.js'
import type { Adapter } from '../types.js'

interface PostHog {
  register(properties: object): void
}

/** PostHog's own memory of this token says so. */
const isIdentified = (token: unknown) => /"\$user_state":"identified"/.test(`${kept(`ph_${token}_posthog`)}`)

export const posthog: Adapter = {
  calls: {
    init({ args }, { visitor }) {
      if (isIdentified(args[0])) return
      args[1] = { ...(args[1] as object), bootstrap: { distinctID: visitor, isIdentifiedID: false } }
    },
    capture({ args, moment }) {
      args[2] = { timestamp: new Date(moment.at), ...(args[2] as object) }
    },
  },
  reset(library: PostHog, { visitor }) {
    library.register({ distinct_id: visitor, $device_id: visitor })
  },
}
