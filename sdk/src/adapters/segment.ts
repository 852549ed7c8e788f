// Segment's analytics.js. The ID is set before the first call, and a plugin of its own kind puts it on each event: so neither
// reset(), nor another user, nor an address can change it (rule X5).

import type { Adapter, Identity, Moment } from '../types.js'

interface Event {
  updateEvent(path: string, value: unknown): unknown
}

interface Segment {
  setAnonymousId(id: string): unknown
  register(plugin: object): Promise<unknown>
}

/** The plugin, for pages that make the library themselves: `AnalyticsBrowser.load({ writeKey, plugins: [plugin(ready())] })`. */
export function segmentPlugin(ready: Promise<Identity>) {
  let visitor: string
  const stamp = (event: Event) => {
    event.updateEvent('anonymousId', visitor)
    return event
  }
  return {
    name: 'Throughline',
    type: 'before',
    version: '1',
    isLoaded: () => true,
    // What it returns holds every event.
    load: async (_: unknown, library: Segment) => {
      visitor = (await ready).visitor
      library.setAnonymousId(visitor)
    },
    track: stamp,
    page: stamp,
    identify: stamp,
    group: stamp,
    alias: stamp,
    screen: stamp,
  }
}

/** Segment takes the name or the names first, then the properties, then the options; each may be left out. */
function withMoment(args: unknown[], { at, url, title }: Moment): unknown[] {
  const names = args.filter((arg) => typeof arg === 'string')
  const [properties = {}, options = {}] = args.filter((arg) => arg && typeof arg === 'object') as Record<string, unknown>[]
  const { pathname: path, search } = new URL(url)
  const page = { url, title, referrer: document.referrer, path, search }
  const context = { page, ...(options.context as object) }
  return [
    ...names,
    properties,
    { timestamp: new Date(at), ...options, context },
    ...args.filter((arg) => typeof arg === 'function'),
  ]
}

export const segment: Adapter = {
  // Awaited, it is the library itself and its first event.
  async start(made: Segment | [Segment], { identity }) {
    const library = Array.isArray(made) ? made[0] : made
    library.setAnonymousId(identity.visitor)
    await library.register(segmentPlugin(Promise.resolve(identity)))
    return library
  },
  call(call, next, library: Segment, { identity }) {
    if (/^(track|page|identify|screen)$/.test(call.path.join())) call.args = withMoment(call.args, call.moment)
    const result = next()
    library.setAnonymousId(identity.visitor)
    return result
  },
}
