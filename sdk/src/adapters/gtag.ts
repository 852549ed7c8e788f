// Google Analytics 4, by gtag(). Its client ID has a form of its own: two numbers, made of the ID (rule X9).

import type { Adapter } from '../types.js'

/** The same on all sites. */
export function clientId(visitor: string): string {
  const number = (digits: string) => parseInt(digits, 16)
  return `${number(visitor.slice(0, 8))}.${number(visitor.slice(-8))}`
}

export const gtag: Adapter = {
  calls: {
    ''({ args, moment }, { visitor }) {
      const page = { page_location: moment.url, page_title: moment.title }
      const isConfig = args[0] === 'config'
      if (isConfig || args[0] === 'event')
        args[2] = { ...page, ...(args[2] as object), ...(isConfig && { client_id: clientId(visitor) }) }
    },
  },
}
