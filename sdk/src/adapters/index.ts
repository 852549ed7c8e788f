// All adapters, by the names that hold() takes.

import type { Adapter } from '../types.js'
import { gtag } from './gtag.js'
import { mixpanel } from './mixpanel.js'
import { segment } from './segment.js'

export const adapters: Record<string, Adapter> = { segment, mixpanel, gtag }
