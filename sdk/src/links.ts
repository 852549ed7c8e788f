// Links and forms to the company's other sites take the ID along (rule X15). A link is changed at the moment of the click and is itself
// again right after, so that whoever copies it copies the clean address.

import type { Throughline } from './types.js'

type Link = HTMLAnchorElement | HTMLAreaElement

/** The fields as the browser writes them: of a file its name, and lines that end with CRLF. */
function query(fields: FormData): string {
  const pairs = [...fields].map(([name, value]) => [name, (value as File).name ?? value])
  return `?${new URLSearchParams(pairs)}`.replace(/%0D%0A|%0[AD]/g, '%0D%0A')
}

export function decorateLinks({ link }: Throughline): void {
  const leadsAway = ({ href }: Link) => link(href) !== href

  const decorate = (element: Link) => {
    const clean = element.getAttribute('href')!
    element.href = link(element.href)
    // The browser has read the address when the click is over; a context menu keeps what it read when it opened.
    setTimeout(() => element.setAttribute('href', clean))
  }

  const submit = (event: SubmitEvent) => {
    const form = event.target as HTMLFormElement
    const button = event.submitter
    // A field may have the name of a property of the form.
    const said = (name: string) => button?.getAttribute(`form${name}`) ?? form.getAttribute(name) ?? ''
    // A link heeds what the form does, and no policy for forms, which may not name this site.
    const way = document.createElement('a')
    Object.assign(way, { href: said('action'), target: said('target'), rel: said('rel') })
    if (event.defaultPrevented || /^(post|dialog)$/i.test(said('method')) || !leadsAway(way)) return
    if (said('accept-charset') || document.characterSet !== 'UTF-8') return
    const fields = new FormData(form, button)
    // An older browser leaves the button out.
    const name = button?.getAttribute('name')
    if (name && !fields.has(name)) return
    way.search = query(fields)
    if (!leadsAway(way)) return
    event.preventDefault()
    decorate(way)
    way.click()
  }

  const click = (event: MouseEvent) => {
    for (const node of event.composedPath() as Element[]) {
      // Clicks leave a shadow tree, the events of its forms do not.
      if (node instanceof ShadowRoot) node.addEventListener('submit', submit as EventListener)
      // A download is no visit; and the right button opens a menu, whose "copy link" wants the clean address.
      if (event.button < 2 && node.matches?.('a[href]:not([download]),area[href]') && leadsAway(node as Link)) decorate(node as Link)
    }
  }
  addEventListener('submit', submit)
  // A middle button's click is an auxclick; the keyboard's Enter is a click.
  for (const kind of ['click', 'auxclick']) addEventListener(kind, click as EventListener, true)
}
