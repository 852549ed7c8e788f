// Matomo, by its list of commands. Its ID is 16 hexadecimal digits: the first of the visitor's (rule X8).

import type { Adapter } from '../types.js'

export const matomo: Adapter = {
  start(commands: unknown[], { identity }) {
    commands.push(['setVisitorId', identity.visitor.replaceAll('-', '').slice(0, 16)])
  },
  rank: ({ args: [command] }) => (`${command}`.startsWith('set') ? 0 : 1),
}
