import type { EventName } from './types.js';
type Listener = (detail: unknown) => void;
export declare function events(failed: (error: unknown) => void): {
    call: (listener: Listener, detail: unknown) => void;
    on: (event: EventName, listener: Listener) => void;
    emit: (event: EventName, detail: unknown) => void;
    /** The events no longer hold: a page that subscribes now does not hear of them. */
    withdraw: (...events: EventName[]) => void;
};
export {};
