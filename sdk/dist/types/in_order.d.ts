/** Makes a queue. What is still waiting when the browser leaves the page is sent at once, or it would be lost. */
export declare function inOrder(): <T>(send: () => Promise<T>) => Promise<T>;
