// What a satellite serves as sdk.js: the core and all adapters, as `window.throughline`. A stub that was there before it is filled in.

import { adapters } from './adapters/index.js'
import { segmentPlugin } from './adapters/segment.js'
import { start } from './core.js'
import { holder } from './hold.js'
import { decorateLinks } from './links.js'
import { currentScript, plain } from './trusted.js'
import type { Call, Held, Options, Throughline } from './types.js'

interface Stub {
  options?: Options
  queue?: Call[]
  held?: Held[]
  /** It waited too long, and let the libraries go without the ID. */
  late?: boolean
}

const page = window as { throughline?: Stub & Partial<Throughline> & { segmentPlugin?: unknown } }
const stub = (page.throughline = plain(page.throughline) ?? {})
if (!stub.late && (!stub.ready || stub.queue)) {
  const options: Options = stub.options ?? currentScript()?.dataset ?? {}
  const core = start(options)
  if (options.links !== 'off') decorateLinks(core)
  const { take, hold } = holder(core, adapters)
  const { queue = [], held = [] } = stub
  delete stub.queue
  Object.assign(stub, core, { hold, segmentPlugin: () => segmentPlugin(core.ready()) })
  held.forEach(take)
  for (const { path, args, done } of queue)
    done((stub as unknown as Record<string, (...args: unknown[]) => unknown>)[path[0]!]?.(...args))
}
