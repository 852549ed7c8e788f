// Matomo, by its list of commands. Its ID is 16 hexadecimal digits: the first of the visitor's (rule X8).

import type { Adapter } from '../types.js'

export const matomo: Adapter = {
  start(commands: unknown[], { visitor }) {
    commands.push(['setVisitorId', visitor.replaceAll('-', '').slice(0, 16)])
  },
}
