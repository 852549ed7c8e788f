import type { Core } from './core.js';
import type { Adapter, Held } from './types.js';
/** `take` takes over a library that a stub began to hold. */
export declare function holder(core: Core, adapters: Record<string, Adapter>): {
    take: (held: Held) => Promise<void>;
    hold: (name: string, library: unknown) => unknown;
};
