// The stub: put it first into each page's <head>, inline or as a file. From then on every call is kept, with the moment at which it
// was made, until sdk.js is there. If that does not come, the libraries start without the ID, where visitors need not be asked.
// Its own tag carries the options: data-timeout, data-consent, data-sites, data-referrer, data-links; data-src and data-integrity
// say where sdk.js is, and data-patience how long to wait for it, in milliseconds (3000).
;((window, document) => {
  // An element that a comment can inject (`<a id="throughline">`, `<img name="currentScript">`) is neither the SDK nor this tag.
  if (window.throughline && Object.getPrototypeOf(window.throughline) === Object.prototype) return
  const tag = document.currentScript instanceof HTMLScriptElement ? document.currentScript : null
  const options = { ...tag?.dataset }
  const queue = []
  const held = []
  const stub = { options, queue, held, identity: () => null, link: (url) => url }
  window.throughline = stub
  const moment = () => ({ at: Date.now(), url: location.href, title: document.title, referrer: document.referrer })
  const keep = (list, path, args) => new Promise((done) => list().push({ path, args, moment: moment(), done }))
  for (const name of ['ready', 'consent', 'forget', 'register', 'registerOnce', 'on']) {
    stub[name] = (...args) => keep(() => queue, [name], args)
  }
  const standIn = (library, path) =>
    new Proxy(() => {}, {
      get: (_, name) => (typeof name === 'string' && name !== 'then' ? standIn(library, [...path, name]) : undefined),
      apply: (_, __, args) => keep(() => library.calls, path, args),
    })
  /** Calls the method that `path` names, on the object that has it. */
  const perform = (library, { path, args }) => {
    const owner = path.slice(0, -1).reduce((object, name) => object[name], library)
    return (path.length ? owner[path[path.length - 1]] : owner).apply(owner, args)
  }
  /** Starts a held library without the ID. A call that fails must not take later calls with it. */
  const startAlone = async (one) => {
    const failed = (error) => console.warn('throughline library_failed:', one.name, error)
    try {
      const made = await (typeof one.library === 'function' ? one.library(null) : one.library)
      const library = Array.isArray(made) ? made[0] : made
      const push = (call) => {
        try {
          call.done(perform(library, call))
        } catch (error) {
          failed(error)
        }
      }
      one.calls.forEach(push)
      one.calls = { push }
    } catch (error) {
      failed(error)
    }
  }
  stub.hold = (name, library) => {
    const one = { name, library, calls: [] }
    held.push(one)
    // The browser may refuse sdk.js before the page's own code runs: from its cache, or because an extension blocks it.
    if (stub.late) startAlone(one)
    return standIn(one, [])
  }

  /** Gives up on sdk.js. It deletes `queue` when it takes over. */
  const letGo = () => {
    if (!stub.queue || stub.late) return
    if (options.consent !== 'implied' || navigator.globalPrivacyControl) return
    stub.late = true
    console.warn('throughline late: the libraries start without the ID')
    held.forEach(startAlone)
  }
  const script = document.createElement('script')
  script.src = options.src || '/_throughline/sdk.js'
  script.async = true
  if (options.integrity) script.integrity = options.integrity
  if (tag) script.nonce = tag.nonce
  script.onerror = letGo
  setTimeout(letGo, Number(options.patience) || 3000)
  document.head.append(script)
})(window, document)
