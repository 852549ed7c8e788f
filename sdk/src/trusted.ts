// What an element that a visitor can put into the page cannot change. A comment with `<a id="x">` makes `window.x`, one with `<img name="x">`
// makes `document.x`, and that one comes before the browser's own property.

/** A plain object, or nothing. */
export function plain<T>(value: T | undefined): T | undefined {
  if (value && Object.getPrototypeOf(value) === Object.prototype) return value
}

/** The script that runs now. No script can be `document.currentScript` by its name. */
export function currentScript(): HTMLScriptElement | undefined {
  const script = document.currentScript
  if (script instanceof HTMLScriptElement) return script
}

/** The page before this one, or what hop.js put in its place. */
export const referrer = (): string => (typeof document.referrer === 'string' ? document.referrer : '')

/** What the server wrote into the page in place of the answer of `me`. Throws if it is no JSON object. */
export function pageData<T>(): T | undefined {
  const script = Document.prototype.querySelector.call(document, 'script#throughline-me[type="application/json"]')
  const data: T | null = JSON.parse(script?.textContent ?? 'null')
  if (data !== null && !plain(data)) throw new TypeError('not an object')
  return data ?? undefined
}
