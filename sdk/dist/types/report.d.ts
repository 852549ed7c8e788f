export type Report = (code: string, advice: string, cause?: unknown) => void;
export declare function reporter(emit: (event: 'error', code: string) => void): Report;
