// The ID of a visitor while there is no better one. It stays in this browser until the visitor ID is known.

import { kept } from './storage.js'

const KEY = 'throughline-provisional'

/** The ID that was kept, or a new one. Where storage is forbidden, it lives as long as the page. */
export function provisional(): string {
  // The last part of a blob's address is a UUID of version 4, in pages without TLS too, where crypto.randomUUID is not.
  const id = URL.createObjectURL(new Blob()).slice(-36)
  return kept(KEY) || kept(KEY, id) || id
}

/** Takes it away, and says which it was. */
export function endProvisional(): string | undefined {
  const id = kept(KEY)
  kept(KEY, '')
  return id
}
