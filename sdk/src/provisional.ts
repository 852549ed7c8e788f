// The ID of a visitor while there is no better one. It stays in this browser until the visitor ID is known.

const KEY = 'throughline-provisional'

/** The ID that was kept, or a new one. Where storage is forbidden, it lives as long as the page. */
export function provisional(): string {
  // The last part of a blob's address is a UUID of version 4, in pages without TLS too, where crypto.randomUUID is not.
  const address = URL.createObjectURL(new Blob())
  URL.revokeObjectURL(address)
  let id = address.slice(-36)
  try {
    id = localStorage[KEY] ||= id
  } catch {}
  return id
}

/** Takes it away, and says which it was. */
export function endProvisional(): string | undefined {
  try {
    const kept: string | undefined = localStorage[KEY]
    if (kept) delete localStorage[KEY]
    return kept
  } catch {}
}
