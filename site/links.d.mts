export const rootPages: Readonly<Record<string, string>>;
export function relink(markdown: string, folder: string, root: string): string;
