// Mixpanel. Its own storage is given the ID and the properties before it starts, since its first events leave while it does (rule X1).

import type { Adapter, Context, Properties } from '../types.js'

interface Mixpanel {
  init(token: string, config: Properties, name: string): Mixpanel | undefined
  get_property(name: string): unknown
  register(properties: Properties): void
  register_once(properties: Properties): void
}

/** Mixpanel's own, which are of no use on another site (rule X3). */
const isOwn = (key: string) => /^(distinct_id|token|[$]|__)/.test(key)

const foreign = (properties: unknown): Properties =>
  Object.fromEntries(Object.entries(properties ?? {}).filter(([key]) => !isOwn(key)))

/** Whoever logged in stays logged in (rule X2). */
function seed(mixpanel: Mixpanel, { visitor }: Context): void {
  const user = mixpanel.get_property('$user_id')
  mixpanel.register(user ? { $device_id: visitor } : { $device_id: visitor, distinct_id: `$device:${visitor}` })
}

/** Nothing that would send anything. */
const SILENT = {
  track_pageview: false,
  autocapture: false,
  record_sessions_percent: 0,
  remote_settings_mode: 'disabled',
  flags: false,
  loaded: undefined,
  hooks: {},
}

export const mixpanel: Adapter = {
  calls: {
    init({ args }, context, library: Mixpanel) {
      // A silent instance of the same token writes the storage as Mixpanel itself does: the place, the domain and the form.
      const silent = library.init(args[0] as string, { ...(args[1] as object), ...SILENT }, 'throughline')
      if (!silent) return
      seed(silent, context)
      // On the site of the first visit, Mixpanel would have kept the campaign too.
      silent.register_once(foreign({ ...context.campaign, ...context.properties }))
    },
    track({ args, moment }) {
      const page = { $current_url: moment.url, current_page_title: moment.title }
      args[1] = { time: moment.at / 1000, ...page, ...(args[1] as object) }
    },
    register({ args }, context) {
      context.register(foreign(args[0]))
    },
    register_once({ args }, context) {
      context.registerOnce(foreign(args[0]))
    },
  },
  reset: seed,
}
