// The npm package: start the SDK with the adapters that the page needs.

export { adapters } from './adapters/index.js'
export { segmentPlugin } from './adapters/segment.js'
export { type Core, start } from './core.js'
export { holder } from './hold.js'
export { decorateLinks } from './links.js'
export type * from './types.js'
