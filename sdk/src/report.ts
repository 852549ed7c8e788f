// Mistakes: each code is said once on the console, with what to do, and is an `error` event. Nothing is ever thrown at the page.

export type Report = (code: string, advice: string, cause?: unknown) => void

export function reporter(emit: (event: 'error', code: string) => void): Report {
  const said = new Set<string>()
  return (code, advice, cause = '') => {
    if (said.has(code)) return
    said.add(code)
    console.warn(`throughline ${code}: ${advice}`, cause)
    emit('error', code)
  }
}
