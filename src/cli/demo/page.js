// Fills the page: what the broker remembers, and what the analytics tools received.
;(() => {
  const { me, received } = document.currentScript.dataset
  const element = (id) => document.getElementById(id)
  const show = (id, text) => { element(id).textContent = text }

  const record = async () => {
    const { first_touch, properties, record } = await (await fetch(me)).json()
    show('first-referrer', first_touch ? first_touch.referrer ?? 'typed in, or a bookmark' : record)
    show('first-landing', first_touch ? first_touch.landing : record)
    show('properties', JSON.stringify(properties))
  }
  element('remember').addEventListener('click', async () => {
    await window.demo?.remember({ plan: 'gold' })
    await record()
  })
  element('buy').addEventListener('click', () => window.demo?.track('Buy'))
  record()

  const visitor = element('visitor').textContent.trim()
  const ROWS_MAX = 200
  let total = 0
  let rows = []

  const cell = (kind, text, title = '') => {
    const made = document.createElement('td')
    made.className = kind
    made.textContent = text
    made.title = title
    return made
  }
  // Some send the whole address, some only its host.
  const outside = (referrer) => {
    if (!referrer) return '–'
    if (referrer === '$direct') return 'direct'
    try {
      return new URL(referrer.includes('://') ? referrer : `http://${referrer}`).hostname
    } catch {
      return referrer
    }
  }
  const drawn = ({ number, at, site, library, run, event, id, referrer, plan }) => {
    const row = document.createElement('tr')
    row.dataset.number = number
    row.className = `${site} ${run}`
    const who = cell(id && id === visitor ? 'who one' : 'who', id ? `${id.slice(0, 13)}…` : 'none', id ?? '')
    if (id && run === 'without') {
      const mark = document.createElement('small')
      mark.textContent = 'its own'
      who.append(' ', mark)
    }
    row.append(
      cell('when', new Date(at * 1000).toLocaleTimeString([], { hour12: false })),
      cell('where', site),
      cell('tool', library),
      cell('what', event),
      who,
      cell('from', outside(referrer), referrer ?? ''),
      cell(plan ? 'plan' : 'plan no', plan ?? '–'),
    )
    return row
  }

  const count = (kept, field) => new Set(kept.map((row) => row[field]).filter(Boolean)).size
  const several = (number, one, more = `${one}s`) => `${number} ${number === 1 ? one : more}`
  const summary = (kept) => [
    several(kept.length, 'event'),
    several(count(kept, 'library'), 'library', 'libraries'),
    several(count(kept, 'site'), 'domain'),
    several(count(kept, 'id'), 'ID'),
  ].join(', ')
  const sum = (id, run, before) => {
    const kept = rows.filter((row) => row.run === run)
    if (!kept.length) return
    element(id).hidden = false
    show(id, before + summary(kept))
  }

  const look = async () => {
    const news = await (await fetch(`${received}?after=${total}`)).json()
    // The demo was started anew.
    if (news.total < total) rows = []
    total = news.total
    if (news.rows.length) {
      rows = [...news.rows, ...rows].slice(0, ROWS_MAX)
      element('rows').replaceChildren(...rows.map(drawn))
      sum('sum', 'with', '')
      sum('sum-without', 'without', 'Without Throughline: ')
    }
  }
  const watch = () => look().catch(() => {}).then(() => setTimeout(watch, 1000))
  watch()

  show('seen-referrer', document.referrer || 'none')
})()
