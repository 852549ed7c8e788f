// Who wants to hear what. A listener that fails harms no other.

import type { EventName } from './types.js'

type Listener = (detail: unknown) => void

export function events(failed: (error: unknown) => void) {
  const listeners: Partial<Record<EventName, Listener[]>> = {}
  const call = (listener: Listener, detail: unknown) => {
    try {
      listener(detail)
    } catch (error) {
      failed(error)
    }
  }
  return {
    call,
    on: (event: EventName, listener: Listener) => {
      listeners[event] = [...(listeners[event] ?? []), listener]
    },
    emit: (event: EventName, detail: unknown) => {
      for (const listener of listeners[event] ?? []) call(listener, detail)
    },
  }
}
