/** JSON from elsewhere, about which nothing is known. */

/** The fields of an object; undefined where the text is none. */
export function fieldsIn(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const found: unknown = JSON.parse(text);
    return typeof found === "object" && found !== null ? Object.fromEntries(Object.entries(found)) : undefined;
  } catch {
    return undefined;
  }
}
