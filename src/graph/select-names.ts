import { PergradError } from "../errors.js";
import { globTest } from "./glob.js";

/** A test of names: see `selectByGlob`. A weight that is stored transposed ("fc.weight.T") goes by its plain name too. */
export function matcher(glob: string): (name: string) => boolean {
  const test = globTest(glob);
  // A literal name selects itself, even if it contains glob characters.
  const matches = (name: string) => name === glob || test(name);
  return (name) => matches(name) || (name.endsWith(".T") && matches(name.slice(0, -2)));
}

/**
 * The names that match, in their own order. A name is selected if it matches at least one glob and none of the globs
 * that start with "!" (with only such globs, all other names are selected). `*` matches any characters, "/" and "."
 * included; `?` one character; `[ab]` and `{weight,bias}` alternatives. Throws NO_PARAMETERS if a glob matches nothing, or
 * if nothing is left.
 */
export function selectByGlob(names: readonly string[], globs: readonly string[]): string[] {
  for (const glob of globs) {
    if (!names.some(matcher(glob.replace(/^!/, "")))) throw matchesNothing(glob, names);
  }
  const wanted = globs.filter((glob) => !glob.startsWith("!")).map(matcher);
  const unwanted = globs.filter((glob) => glob.startsWith("!")).map((glob) => matcher(glob.slice(1)));
  const selected = names.filter(
    (name) => (wanted.length === 0 || wanted.some((match) => match(name))) && !unwanted.some((match) => match(name)),
  );
  if (selected.length > 0 || globs.length === 0) return selected;
  throw new PergradError(
    "NO_PARAMETERS",
    `The globs ${listed(globs)} together select no parameter; correct one of them.`,
  );
}

/** @param names those that there are */
export function matchesNothing(glob: string, names: readonly string[]): PergradError {
  const known = names.length > 0 ? `the names are ${listed(names)}` : "there are none at all";
  return new PergradError("NO_PARAMETERS", `The glob "${glob}" matches no parameter: ${known}.`);
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 8).map((name) => `"${name}"`);
  return shown.join(", ") + (names.length > 8 ? `, ... (${names.length} in all)` : "");
}
