/** Readers and writers of other formats: packages that the user installs. */
import { type ErrorCode, PergradError } from "../errors.js";

/**
 * The package, loaded when it is first used.
 * @param purpose what it is needed for, such as "read CSV"
 * @param load imports it
 * @throws PergradError FILE_UNREADABLE, or `code` if given, if the package is not installed.
 */
export async function library<T>(
  name: string,
  purpose: string,
  load: () => Promise<T>,
  code: ErrorCode = "FILE_UNREADABLE",
): Promise<T> {
  try {
    return await load();
  } catch (error) {
    const found = error instanceof Error && "code" in error ? error.code : undefined;
    if (found !== "ERR_MODULE_NOT_FOUND" && found !== "MODULE_NOT_FOUND") throw error;
    throw new PergradError(
      code,
      `To ${purpose}, pergrad needs the package "${name}", which is not installed; run npm install ${name} --ignore-scripts.`,
      { cause: error },
    );
  }
}
