/** Files that are written beside another one. */
import { PergradError } from "../errors.js";
import { access } from "./file-system.js";

/**
 * Refuses to replace files of the user's own: those beside `out` are replaced only if an earlier `out` is there too.
 * @param what `out` is, for the message: "page"
 * @throws PergradError FILE_UNWRITABLE.
 */
export async function requireOwnBeside(what: string, out: string, beside: readonly string[]): Promise<void> {
  if (await isThere(out)) return;
  for (const file of beside)
    if (await isThere(file))
      throw new PergradError(
        "FILE_UNWRITABLE",
        `The ${what} "${out}" would overwrite "${file}", which belongs to no earlier ${what}; give the ${what} another name.`,
      );
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
