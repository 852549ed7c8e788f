// analytics (getanalytics.io). It reads its ID from storage when it is made.

import { kept } from '../storage.js'
import type { Adapter, Context } from '../types.js'

const seed = ({ visitor }: Context) => kept('__anon_id', JSON.stringify(visitor))

export const analytics: Adapter = {
  before: seed,
  reset: (_, context) => seed(context),
}
