/** A plain object, or nothing. */
export declare function plain<T>(value: T | undefined): T | undefined;
/** The script that runs now. No script can be `document.currentScript` by its name. */
export declare function currentScript(): HTMLScriptElement | undefined;
/** The page before this one, or what hop.js put in its place. */
export declare const referrer: () => string;
/** What the server wrote into the page in place of the answer of `me`. Throws if it is no JSON object. */
export declare function pageData<T>(): T | undefined;
