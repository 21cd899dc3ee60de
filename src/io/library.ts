/** Readers and writers of other formats: packages that the user installs. */
import { type ErrorCode, PergradError } from "../errors.js";

interface LibraryOptions {
  /** Of the error. Default FILE_UNREADABLE. */
  readonly code?: ErrorCode;
  /** The packages to install, if others are needed with it. Default: only itself. */
  readonly install?: readonly string[];
}

/**
 * The package, loaded when it is first used.
 * @param purpose what it is needed for, such as "read CSV"
 * @param load imports it
 * @throws PergradError if the package is not installed.
 */
export async function library<T>(
  name: string,
  purpose: string,
  load: () => Promise<T>,
  { code = "FILE_UNREADABLE", install = [name] }: LibraryOptions = {},
): Promise<T> {
  try {
    return await load();
  } catch (error) {
    const found = error instanceof Error && "code" in error ? error.code : undefined;
    if (found !== "ERR_MODULE_NOT_FOUND" && found !== "MODULE_NOT_FOUND") throw error;
    throw new PergradError(
      code,
      `To ${purpose}, pergrad needs the package "${name}", which is not installed; run npm install ${install.join(" ")} --ignore-scripts.`,
      { cause: error },
    );
  }
}
