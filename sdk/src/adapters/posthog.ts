// PostHog. It takes the ID at its start, unless somebody is logged in (rule X2).

import type { Adapter } from '../types.js'

interface PostHog {
  register(properties: object): void
}

/** PostHog's own memory of this token says so. */
function isIdentified(token: unknown): boolean {
  try {
    return JSON.parse(localStorage[`ph_${token}_posthog`]).$user_state === 'identified'
  } catch {
    return false
  }
}

export const posthog: Adapter = {
  call({ path, args, moment }, next, _, { identity }) {
    const [method] = path
    if (method === 'init' && !isIdentified(args[0]))
      args[1] = { ...(args[1] as object), bootstrap: { distinctID: identity.visitor, isIdentifiedID: false } }
    if (method === 'capture') args[2] = { timestamp: new Date(moment.at), ...(args[2] as object) }
    return next()
  },
  reset(library: PostHog, { identity: { visitor } }) {
    library.register({ distinct_id: visitor, $device_id: visitor })
  },
}
