// What a page does that uses six analytics libraries. It calls them at once and knows nothing of IDs: throughline.hold() keeps the
// calls until the visitor is known, and loads each library only then. Without Throughline the libraries are as their vendors made them.
;(() => {
  const { run, collect, libraries } = document.currentScript.dataset
  const at = (library) => `${location.origin}${collect}/${run}/${library}`
  const host = (library) => at(library).slice('http://'.length)

  const load = (library) =>
    new Promise((resolve, reject) => {
      const script = document.createElement('script')
      script.src = `${libraries}${library}.js`
      script.onload = () => resolve(Vendor[library])
      script.onerror = reject
      document.head.append(script)
    })

  const alone = (_, make) => {
    const made = make().then((library) => (Array.isArray(library) ? library[0] : library))
    return new Proxy({}, { get: (_, name) => (...args) => made.then((library) => library[name](...args)) })
  }
  const hold = run === 'with' ? throughline.hold : alone

  // A library alone would else find the ID that Throughline gave it before, and the other way round.
  const forgetOtherRun = () => {
    if ((localStorage.demoRun ?? run) !== run) {
      localStorage.clear()
      for (const cookie of document.cookie.split('; ')) {
        for (const domain of ['', `; domain=${location.hostname}`]) {
          document.cookie = `${cookie.split('=')[0]}=; path=/; max-age=0${domain}`
        }
      }
    }
    localStorage.demoRun = run
  }

  const make = (library, how) => hold(library, async () => {
    forgetOtherRun()
    return how(await load(library))
  })
  const segment = make('segment', ({ AnalyticsBrowser }) =>
    AnalyticsBrowser.load({
      writeKey: 'demo',
      // What Segment would else ask its own servers for.
      cdnSettings: {
        integrations: { 'Segment.io': { apiKey: 'demo', apiHost: host('segment'), protocol: 'http' } },
        plan: {},
        metrics: { sampleRate: 0 },
      },
    }))
  const mixpanel = make('mixpanel', (library) => library.default)
  const snowplow = make('snowplow', (library) => library)
  const jitsu = make('jitsu', ({ jitsuAnalytics }) => jitsuAnalytics({ host: at('jitsu'), writeKey: 'demo:demo' }))
  const analytics = make('analytics', (library) => library.default({
    app: 'demo',
    plugins: [{
      name: 'collector',
      track: ({ payload }) => fetch(at('analytics'), {
        method: 'POST',
        keepalive: true,
        body: JSON.stringify({ ...payload, context: { page: { referrer: document.referrer } } }),
      }),
    }],
  }))
  const plausible = make('plausible', (library) => library)

  mixpanel.init('demo', { api_host: at('mixpanel'), batch_requests: false, persistence: 'localStorage' })
  snowplow.newTracker('demo', at('snowplow'), { appId: 'demo', bufferSize: 1, stateStorageStrategy: 'localStorage' })
  plausible.init({ domain: 'demo', endpoint: at('plausible'), autoCapturePageviews: false, captureOnLocalhost: true, bindToWindow: false })

  const track = (event) => {
    segment.track(event)
    mixpanel.track(event)
    snowplow.trackStructEvent({ category: 'demo', action: event })
    jitsu.track(event)
    analytics.track(event)
    plausible.track(event, {})
  }
  const remember = (properties) => (run === 'with' ? throughline.register(properties) : mixpanel.register(properties))
  window.demo = { track, remember }

  track('Page seen')
})()
