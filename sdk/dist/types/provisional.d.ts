/** The ID that was kept, or a new one. Where storage is forbidden, it lives as long as the page. */
export declare function provisional(): string;
/** Takes it away, and says which it was. */
export declare function endProvisional(): string | undefined;
