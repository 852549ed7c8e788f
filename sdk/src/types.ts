// What the page sees of the SDK, and what its parts say to one another.

export type Source = 'broker' | 'link' | 'provisional'
export type Consent = 'granted' | 'denied' | 'unknown'
export type Properties = Record<string, unknown>

/** Where the visitor first came from, as the visitor record has it. `at` is in seconds. */
export interface FirstTouch {
  at: number
  referrer?: string
  landing: string
  campaign?: Record<string, string>
}

/** Who the visitor is, once that is known and consent stands. */
export interface Identity {
  visitor: string
  source: Source
  first_touch: FirstTouch | null
  properties: Properties
  /**
   * The first visit's campaign, on a page that was reached from another of the company's sites than the one of that visit, and whose own
   * address names none: what a library that reads addresses would miss.
   */
  campaign?: Record<string, string> | undefined
}

/** The answer of `/_throughline/me`, or what the page carries in its place. */
export interface Me {
  visitor: string | null
  source: Source | null
  consent: Consent
  first_touch: FirstTouch | null
  properties: Properties
  record: 'present' | 'none' | 'unavailable'
  /** The origins of all the company's sites. */
  sites?: string[]
  /** Whether hop.js may begin a hop. */
  start?: boolean
}

/** What hop.js leaves for the SDK, as `window.throughlineHop`: where the satellite is, and its answer. */
export interface Hop {
  origin: string
  me?: Promise<Me | undefined>
}

/** Each is also an attribute of the script tag, with `data-` before it. All values are text there. */
export interface Options {
  /** How long to wait for the satellite, in milliseconds; 1000 if not said. */
  timeout?: number | string
  /** What holds while the satellite cannot be asked: the site's consent policy. Not said: nothing starts then. */
  consent?: 'implied' | 'required' | string
  /** `off` leaves `document.referrer` as it is. */
  referrer?: 'off' | string
  /** `off` leaves links as they are. */
  links?: 'off' | string
  /** Further origins that are the company's own, separated by spaces. */
  sites?: string
}

/** When and where a call was made. `at` is in milliseconds. */
export interface Moment {
  at: number
  url: string
  title: string
}

/** A call of a held library: `analytics.user().id()` is two, `mixpanel.people.set(x)` is one with a path of two. */
export interface Call {
  path: string[]
  args: unknown[]
  moment: Moment
  done(result: unknown): void
}

/** A library that is held back until the visitor is known. */
export interface Held {
  name: string
  /** The library, or a function that makes or loads it. */
  library: unknown
  calls: { push(call: Call): unknown }
}

/** What an adapter may use. */
export interface Context extends Identity {
  register(set: Properties): unknown
  registerOnce(set: Properties): unknown
}

/** How one library is given the ID. All members are optional: a library may need only some. */
export interface Adapter {
  /** Before the library is made: its storage may be written. */
  before?(context: Context): unknown
  /** The library is there and has sent nothing. What is returned takes its place. */
  start?(library: any, context: Context): unknown
  /** Before a call of that method, or of the library itself (``): its `args` may be changed. */
  calls?: Record<string, (call: Call, context: Context, library: any) => void>
  /** After a `reset`, which in most libraries makes a new ID. */
  reset?(library: any, context: Context): unknown
}

export type EventName = 'ready' | 'consent' | 'properties' | 'alias' | 'error'

export interface Throughline {
  ready(callback?: (identity: Identity) => void): Promise<Identity>
  identity(): Identity | null
  consent(): Consent
  consent(choice: 'granted' | 'denied'): Promise<Consent>
  forget(): Promise<Consent>
  register(properties: Properties): Promise<void>
  registerOnce(properties: Properties): Promise<void>
  link(url: string): string
  on(event: EventName, callback: (detail: unknown) => void): void
}

export interface Holding {
  /** Holds a library back until the visitor is known, and gives it the ID. Call what is returned in its place. */
  hold(name: string, library: unknown): any
}
