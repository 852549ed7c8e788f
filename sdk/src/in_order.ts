// Sends requests that change something one after the other. Of two that are under way at once, the satellite may take the later one first.

/** Makes a queue. What is still waiting when the browser leaves the page is sent at once, or it would be lost. */
export function inOrder() {
  let last: Promise<unknown> = Promise.resolve()
  let leaving: Promise<void>
  const watch = () => {
    leaving = new Promise((resolve) => addEventListener('pagehide', () => resolve(), { once: true }))
    // The browser may come back to the page.
    leaving.then(watch)
  }
  watch()
  /** `send` must not reject. */
  return <T>(send: () => Promise<T>): Promise<T> => {
    const answer = Promise.race([last, leaving]).then(send)
    last = answer
    return answer
  }
}
