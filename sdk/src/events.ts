// The events of the SDK. A listener that fails harms no other.

import type { EventName } from './types.js'

type Listener = (detail: unknown) => void

/** A page that subscribes to one of these after it happened still hears of it. */
const REPEATED: readonly EventName[] = ['ready', 'consent', 'alias']

export function events(failed: (error: unknown) => void) {
  const listeners = new Map<EventName, Listener[]>()
  /** The last detail of each repeated event, as long as it holds. */
  const told = new Map<EventName, unknown>()
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
      listeners.set(event, [...(listeners.get(event) ?? []), listener])
      const detail = told.get(event)
      // Unless a newer event reaches the listener first.
      if (detail) Promise.resolve().then(() => told.get(event) === detail && call(listener, detail))
    },
    emit: (event: EventName, detail: unknown) => {
      if (REPEATED.includes(event)) told.set(event, detail)
      for (const listener of listeners.get(event) ?? []) call(listener, detail)
    },
    /** The events no longer hold: a page that subscribes now does not hear of them. */
    withdraw: (...events: EventName[]) => events.forEach((event) => told.delete(event)),
  }
}
