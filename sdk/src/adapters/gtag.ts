// Google Analytics 4, by gtag(). Its client ID has a form of its own: two numbers, made of the ID (rule X9).

import type { Adapter } from '../types.js'

const ORDER = ['js', 'consent', 'config', 'set', 'event']

/** The same on all sites. */
export function clientId(visitor: string): string {
  const hex = visitor.replaceAll('-', '')
  return `${Number.parseInt(hex.slice(0, 8), 16)}.${Number.parseInt(hex.slice(-8), 16)}`
}

export const gtag: Adapter = {
  rank: ({ args }) => ORDER.indexOf(args[0] as string),
  call(call, next, _, { identity }) {
    const { args, moment } = call
    const [command, , parameters] = args
    const page = { page_location: moment.url, page_title: moment.title, page_referrer: document.referrer }
    if (command === 'event') args[2] = { ...page, ...(parameters as object) }
    if (command === 'config') args[2] = { ...page, ...(parameters as object), client_id: clientId(identity.visitor) }
    return next()
  },
}
