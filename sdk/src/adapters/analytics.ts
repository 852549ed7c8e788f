// analytics (getanalytics.io). It reads its ID from storage when it is made.

import type { Adapter, Context } from '../types.js'

const seed = ({ identity }: Context) => {
  localStorage.__anon_id = JSON.stringify(identity.visitor)
}

export const analytics: Adapter = {
  before: seed,
  reset: (_, context) => seed(context),
}
