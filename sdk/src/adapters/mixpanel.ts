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
function seed(mixpanel: Mixpanel, { identity: { visitor } }: Context): void {
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
  call({ path, args, moment }, next, library: Mixpanel, context) {
    const [method] = path
    if (method === 'init') {
      const [token, config] = args as [string, Properties | undefined]
      // A silent instance of the same token writes the storage as Mixpanel itself does: the place, the domain and the form.
      const silent = library.init(token, { ...config, ...SILENT }, 'throughline')
      if (silent) {
        seed(silent, context)
        silent.register_once(foreign(context.identity.properties))
      }
    }
    if (method === 'track') {
      args[1] = {
        time: moment.at / 1000,
        $current_url: moment.url,
        current_page_title: moment.title,
        ...(args[1] as object),
      }
    }
    if (method === 'register') context.register(foreign(args[0]))
    if (method === 'register_once') context.registerOnce(foreign(args[0]))
    return next()
  },
  reset: seed,
}
