export { gtag } from './adapters/gtag.js';
export { adapters } from './adapters/index.js';
export { mixpanel } from './adapters/mixpanel.js';
export { segment, segmentPlugin } from './adapters/segment.js';
export { type Core, start } from './core.js';
export { holder } from './hold.js';
export type * from './types.js';
