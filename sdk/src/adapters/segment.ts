// Segment's analytics.js. The ID is set before the first call, and a plugin of its own kind puts it on each event: so neither
// reset(), nor another user, nor an address can change it (rule X5).

import { anonymousId } from './anonymous_id.js'
import type { Adapter, Call, Context, Identity, Properties } from '../types.js'

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
  let library: Segment
  const stamp = (event: Event) => {
    library.setAnonymousId(visitor)
    event.updateEvent('anonymousId', visitor)
    return event
  }
  return {
    name: 'Throughline',
    type: 'before',
    version: '1',
    isLoaded: () => true,
    // What it returns holds every event.
    load: async (_: unknown, loaded: Segment) => {
      library = loaded
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

/** As Segment itself names what it finds in an address. */
const named = (campaign: object) =>
  Object.fromEntries(Object.entries(campaign).map(([key, value]) => [key.replace('utm_campaign', 'name').replace('utm_', ''), value]))

/** When and where a call was made. Segment takes the names first, then the properties, then the options; each may be left out. */
function stampMoment(call: Call, { campaign }: Context): void {
  const { at, url, title } = call.moment
  const names = call.args.filter((arg) => typeof arg === 'string')
  const [properties = {}, options = {}] = call.args.filter((arg) => arg && typeof arg === 'object') as Properties[]
  const { pathname: path, search } = new URL(url)
  const page = { url, title, path, search }
  const context = { page, ...(campaign && { campaign: named(campaign) }), ...(options.context as object) }
  call.args = [
    ...names,
    properties,
    { timestamp: new Date(at), ...options, context },
    ...call.args.filter((arg) => typeof arg === 'function'),
  ]
}

export const segment: Adapter = {
  // Awaited, it is the library itself and its first event.
  async start(made: Segment | [Segment], context) {
    const library = (made as [Segment])[0] ?? made
    await library.register(segmentPlugin(Promise.resolve(context)))
    return library
  },
  calls: { track: stampMoment, page: stampMoment, identify: stampMoment, screen: stampMoment },
  reset: anonymousId.reset!,
}
