// All adapters, by the names that hold() takes.

import type { Adapter } from '../types.js'
import { amplitude } from './amplitude.js'
import { analytics } from './analytics.js'
import { anonymousId } from './anonymous_id.js'
import { gtag } from './gtag.js'
import { matomo } from './matomo.js'
import { mixpanel } from './mixpanel.js'
import { plausible } from './plausible.js'
import { posthog } from './posthog.js'
import { segment } from './segment.js'
import { snowplow } from './snowplow.js'

export const adapters: Record<string, Adapter> = {
  amplitude,
  analytics,
  gtag,
  jitsu: anonymousId,
  matomo,
  mixpanel,
  plausible,
  posthog,
  rudderstack: anonymousId,
  segment,
  snowplow,
}
