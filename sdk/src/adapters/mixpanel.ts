// Mixpanel. Its own storage is given the ID and the properties before it starts, since its first events leave while it does (rule X1).

import type { Adapter, Context, Identity, Properties } from '../types.js'

interface Mixpanel {
  init(token: string, config: Properties, name: string): Mixpanel | undefined
  get_property(name: string): unknown
  register(properties: Properties): void
  register_once(properties: Properties): void
}

/** Mixpanel's own, which are of no use on another site (rule X3). */
const isOwn = (key: string) => /^(distinct_id|token|mp_|\$|__)/.test(key)

const foreign = (properties: unknown): Properties =>
  Object.fromEntries(Object.entries(Object(properties)).filter(([key]) => !isOwn(key)))

/** Whoever logged in stays logged in (rule X2). */
function seed(mixpanel: Mixpanel, { visitor }: Identity): void {
  const user = mixpanel.get_property('$user_id')
  mixpanel.register(user ? { $device_id: visitor } : { $device_id: visitor, distinct_id: `$device:${visitor}` })
}

/** Nothing that would send anything. */
const SILENT = {
  track_pageview: false,
  autocapture: false,
  record_sessions_percent: 0,
  record_heatmap_data: false,
  remote_settings_mode: 'disabled',
  flags: false,
  batch_requests: false,
  loaded: undefined,
  hooks: {},
}

function share(method: string | undefined, args: unknown[], { register, registerOnce }: Context): void {
  if (method === 'register' || method === 'register_once') {
    const properties = foreign(args[0])
    if (Object.keys(properties).length) (method === 'register' ? register : registerOnce)(properties)
  }
}

export const mixpanel: Adapter = {
  call({ path, args, moment }, next, library: Mixpanel, context) {
    const [method] = path
    if (method === 'init') {
      const [token, config] = args as [string, Properties | undefined]
      // A silent instance of the same token writes the storage as Mixpanel itself does: the place, the domain and the form.
      const silent = library.init(token, { ...config, ...SILENT }, 'throughline')
      if (silent) {
        seed(silent, context.identity)
        silent.register_once(foreign(context.identity.properties))
      }
    }
    if (method === 'track') {
      args[1] = {
        time: moment.at / 1000,
        $current_url: moment.url,
        current_page_title: moment.title,
        ...Object(args[1]),
      }
    }
    share(method, args, context)
    const result = next()
    if (method === 'reset') seed(library, context.identity)
    return result
  },
}
