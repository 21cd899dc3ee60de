/** Reads whole files, with a sentence about one that is too large: browsers would only say that it cannot be read. */

/** The most bytes of a file that a page can read at once. */
const mostBytes = 2 ** 31 - 1;
/** The most characters of a text, in Chromium. */
const mostCharacters = 2 ** 29 - 25;

/** Throws an Error with a sentence for the page. */
export function requireReadable({ name, size }: File, most = mostBytes): void {
  if (size <= most) return;
  const gigabytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  throw new Error(
    `"${name}" takes ${gigabytes(size)}, more than the ${gigabytes(most)} that a page can read at once; drop a part of it.`,
  );
}

/** Throws an Error with a sentence for the page. */
export async function bytesIn(file: File): Promise<Uint8Array> {
  requireReadable(file);
  return new Uint8Array(await file.arrayBuffer());
}

/** Throws an Error with a sentence for the page. */
export async function textIn(file: File): Promise<string> {
  requireReadable(file, mostCharacters);
  return file.text();
}
