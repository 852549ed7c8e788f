// Links to the company's other sites take the ID along (rule X15). A link is changed at the moment of the click and is itself again
// right after, so that whoever copies it copies the clean address.

import type { Throughline } from './types.js'

type Link = HTMLAnchorElement | HTMLAreaElement

/** The link that was clicked, inside shadow trees too. A download is no visit. */
function linkOf(event: Event): Link | undefined {
  return event.composedPath().find((node) => (node as Element).matches?.('a[href]:not([download]),area[href]')) as
    | Link
    | undefined
}

export function decorateLinks({ link }: Throughline): void {
  const decorate = (event: Event) => {
    const element = linkOf(event)
    if (!element) return
    const clean = element.getAttribute('href')!
    const decorated = link(element.href)
    if (decorated === element.href) return
    element.setAttribute('href', decorated)
    // The browser has read the address when the click is over; a context menu keeps what it read when it opened.
    setTimeout(() => {
      element.setAttribute('href', clean)
    })
  }
  // A middle button's click is an auxclick; the keyboard's Enter is a click.
  for (const kind of ['click', 'auxclick']) addEventListener(kind, decorate, true)
}
