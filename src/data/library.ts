/** Readers of other formats, each a package that the user installs. */
import { PergradError } from "../errors.js";

/**
 * The package, loaded when it is first used.
 * @param load imports it
 * Throws FILE_UNREADABLE where it is not installed.
 */
export async function library<T>(name: string, what: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "ERR_MODULE_NOT_FOUND" && code !== "MODULE_NOT_FOUND") throw error;
    throw new PergradError(
      "FILE_UNREADABLE",
      `To read ${what}, pergrad needs the package "${name}", which is not installed; run npm install ${name} --ignore-scripts.`,
      { cause: error },
    );
  }
}
