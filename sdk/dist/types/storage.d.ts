/** What is kept there, once `value`, if any, is. An empty one takes it away. */
export declare function kept(key: string, value?: string): string | undefined;
