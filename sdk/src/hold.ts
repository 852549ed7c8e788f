// Holds libraries back until the visitor is known. Then each is given the ID, and its calls, those first that must be first.

import type { Core } from './core.js'
import { standIn } from './stand_in.js'
import type { Adapter, Call, Context, Held } from './types.js'

type Library = Record<string, unknown>

/** So long, in milliseconds, the calls after an `identify` wait for its own request. */
const IDENTIFY_TIME_MAX = 500

/**
 * In which order held calls go out: what starts the library, or sets it up; who the visitor is; what the visitor did. It is the same for
 * all. Of gtag() the first argument is the command, of Matomo's `push` it begins with it.
 */
const ORDER = [/^(init|load|newTracker|js$|push,set)/, /^consent$/, /^config$/, /^(identify|setUserId|set$)/, /^/]

const rank = ({ path, args }: Call) => ORDER.findIndex((calls) => calls.test(`${[...path, args[0]]}`))

/** Calls the method that `path` names, on the object that has it. */
function invoke(library: Library, { path, args }: Call): unknown {
  let owner: Library | undefined
  let method: unknown = library
  for (const name of path) {
    owner = method as Library
    method = owner[name]
  }
  return (method as (...args: unknown[]) => unknown).apply(owner, args)
}

/** `take` takes over a library that a stub began to hold. */
export function holder(core: Core, adapters: Record<string, Adapter>) {
  const { report } = core
  const take = async (held: Held) => {
    const { name, library: given } = held
    const adapter = adapters[name]
    const identity = await core.ready()
    const context: Context = { ...core, ...identity }
    try {
      if (!adapter) report('unknown_adapter', `${name} has no ID`)
      adapter?.before?.(context)
      let library = await (typeof given === 'function' ? given(identity) : given)
      if (!library) return report('no_library', `hold() wants ${name}`)
      library = (await adapter?.start?.(library, context)) ?? library
      const push = (call: Call) => {
        // Once the visitor has said no, this page's libraries hear nothing more.
        if (core.identity() !== identity) return
        const method = call.path.join('.')
        try {
          adapter?.calls?.[method]?.(call, context, library)
          const result = invoke(library, call)
          if (method === 'reset') {
            const again = () => adapter?.reset?.(library, context)
            again()
            // Some are over later.
            Promise.resolve(result).then(again)
          }
          call.done(result)
          return result
        } catch (error) {
          report('call_failed', `look into ${name}.${method}`, error)
        }
      }
      // What is called meanwhile comes behind.
      for (const call of (held.calls as Call[]).sort((a, b) => rank(a) - rank(b))) {
        const result = push(call)
        // Two requests that leave one after the other may arrive the other way round.
        if (call.path[0] === 'identify') await Promise.race([result, new Promise((late) => setTimeout(late, IDENTIFY_TIME_MAX))])
      }
      held.calls = { push }
    } catch (error) {
      report('library_failed', `look into ${name}`, error)
    }
  }
  const hold = (name: string, library: unknown) => {
    const held = { name, library, calls: [] }
    take(held)
    return standIn(held)
  }
  return { take, hold }
}
