import type { Adapter, Identity } from '../types.js';
interface Event {
    updateEvent(path: string, value: unknown): unknown;
}
interface Segment {
    setAnonymousId(id: string): unknown;
    register(plugin: object): Promise<unknown>;
}
/** The plugin, for pages that make the library themselves: `AnalyticsBrowser.load({ writeKey, plugins: [plugin(ready())] })`. */
export declare function segmentPlugin(ready: Promise<Identity>): {
    name: string;
    type: string;
    version: string;
    isLoaded: () => boolean;
    load: (_: unknown, loaded: Segment) => Promise<void>;
    track: (event: Event) => Event;
    page: (event: Event) => Event;
    identify: (event: Event) => Event;
    group: (event: Event) => Event;
    alias: (event: Event) => Event;
    screen: (event: Event) => Event;
};
export declare const segment: Adapter;
export {};
