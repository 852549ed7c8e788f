// The real libraries, each as one script that sets `window.Vendor.<name>`.

import { build } from 'esbuild'

const SOURCES = {
  segment: `export { AnalyticsBrowser as segment } from '@segment/analytics-next'`,
  mixpanel: `export { default as mixpanel } from 'mixpanel-browser'`,
  posthog: `export { default as posthog } from 'posthog-js'`,
  amplitude: `import * as amplitude from '@amplitude/analytics-browser/lib/scripts/amplitude-min.umd.js'; export { amplitude }`,
  rudder: `export { RudderAnalytics as rudder } from '@rudderstack/analytics-js/bundled'`,
  snowplow: `import * as snowplow from '@snowplow/browser-tracker'; export { snowplow }`,
  jitsu: `export { jitsuAnalytics as jitsu } from '@jitsu/js'`,
  analytics: `export { default as analytics } from 'analytics'`,
  plausible: `import * as plausible from '@plausible-analytics/tracker'; export { plausible }`,
}

/** Makes them in `folder`. */
export async function vendors(folder, names) {
  const resolveDir = new URL('../..', import.meta.url).pathname
  for (const name of names) {
    const contents = `${SOURCES[name]
      .replace(/export \{ (default|\w+) as (\w+) \} from (.*)/, 'import { $1 as $2 } from $3; export { $2 }')
      .replace(/export \{ (\w+) \}/, `(window.Vendor ??= {}).${name} = $1`)}`
    await build({
      stdin: { contents, resolveDir },
      bundle: true,
      format: 'iife',
      outfile: `${folder}/${name}.js`,
      logLevel: 'error',
      define: { 'process.env.NODE_ENV': '"production"', global: 'window' },
    })
  }
}
