// Holds libraries back until the visitor is known. Then each is given the ID, and its calls, those first that must be first.

import type { Core } from './core.js'
import { standIn } from './stand_in.js'
import type { Adapter, Call, Context, Held, Identity } from './types.js'

type Library = Record<string, unknown>

/** So long, in milliseconds, the calls after an `identify` wait for its own request. */
const IDENTIFY_TIME_MAX = 500

/** What most libraries want: their own start, then who the visitor is, then what the visitor did. */
const usualRank = ({ path: [method = ''] }: Call): number =>
  /^(init|load|newTracker)$/.test(method) ? 0 : /^(identify|setUserId)$/.test(method) ? 1 : 2

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

async function letGo(core: Core, held: Held, adapter: Adapter | undefined, identity: Identity): Promise<void> {
  const { name, library: given } = held
  const context: Context = { ...core, identity }
  const { report } = core
  try {
    if (!adapter) report('unknown_adapter', `${name} has no ID`)
    adapter?.before?.(context)
    let library = await (typeof given === 'function' ? given(identity) : given)
    if (!library) return report('no_library', `pass hold() ${name} itself`)
    library = (await adapter?.start?.(library, context)) ?? library
    const push = (call: Call) => {
      // Once the visitor has said no, this page's libraries hear nothing more.
      if (core.identity() !== identity) return
      const next = () => invoke(library, call)
      try {
        const result = adapter?.call ? adapter.call(call, next, library, context) : next()
        if (call.path[0] === 'reset') {
          const again = () => adapter?.reset?.(library, context)
          again()
          // Some are over later.
          Promise.resolve(result).then(again)
        }
        call.done(result)
        return result
      } catch (error) {
        report('call_failed', `look into ${name}.${call.path}()`, error)
      }
    }
    const rank = adapter?.rank ?? usualRank
    const waiting = held.calls as Call[]
    waiting.sort((a, b) => rank(a) - rank(b))
    // What is called meanwhile comes behind.
    for (let call = waiting.shift(); call; call = waiting.shift()) {
      const result = push(call)
      // Two requests that leave one after the other may arrive the other way round.
      if (call.path[0] === 'identify') await Promise.race([result, new Promise((late) => setTimeout(late, IDENTIFY_TIME_MAX))])
    }
    held.calls = { push }
  } catch (error) {
    report('library_failed', `look into ${name}`, error)
  }
}

/** `take` takes over a library that a stub began to hold. */
export function holder(core: Core, adapters: Record<string, Adapter>) {
  const take = (held: Held) => {
    const adapter = Object.hasOwn(adapters, held.name) ? adapters[held.name] : undefined
    core.ready((identity) => letGo(core, held, adapter, identity))
  }
  const hold = (name: string, library: unknown) => {
    const held = { name, library, calls: [] }
    take(held)
    return standIn(held)
  }
  return { take, hold }
}
