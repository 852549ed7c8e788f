// What this site keeps in the browser. Where that is forbidden, it keeps nothing.

/** What is kept there, once `value`, if any, is. An empty one takes it away. */
export function kept(key: string, value?: string): string | undefined {
  try {
    if (value) localStorage[key] = value
    else if (value === '') delete localStorage[key]
    return localStorage[key]
  } catch {}
}
