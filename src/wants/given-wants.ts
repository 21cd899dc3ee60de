/** Checks wants as callers give them. */
import { invalidArgument, isPromise, kindOf } from "../arguments.js";
import { nearest } from "../meant.js";
import { want } from "./want.js";
import type { Wants } from "./wanted.js";

const example = "{ norms: want.norms() }";

/** Throws INVALID_ARGUMENT if this is not a record of wants. */
export function requireWants(given: Wants): void {
  const wants: unknown = given;
  if (wants === undefined || wants === null)
    throw invalidArgument(`The wants are missing; say what to compute: want: ${example}.`);
  if (isWant(wants)) throw invalidArgument(`The want needs a name of its own; write want: ${example}.`);
  if (typeof wants !== "object" || isPromise(wants))
    throw invalidArgument(`want must be a record of wants by names of your own, as ${example}, not ${kindOf(wants)}.`);
  for (const [name, each] of Object.entries(wants)) if (!isWant(each)) throw wrong(name, each);
  requireDistinct(Object.keys(wants));
}

/** Results are named `<want>/<tensor>`, in saved programs too, so that names of two wants must not run into each other. */
function requireDistinct(names: readonly string[]): void {
  if (names.includes("")) throw invalidArgument(`A want has an empty name; name each want, as in ${example}.`);
  for (const name of names) {
    const inside = names.find((other) => other.startsWith(`${name}/`));
    if (inside === undefined) continue;
    throw invalidArgument(
      `The name of the want "${inside}" begins with "${name}/", which results of the want "${name}" begin with; rename one.`,
    );
  }
}

function isWant(value: unknown): boolean {
  return typeof value === "object" && value !== null && "emit" in value && "read" in value;
}

function wrong(name: string, value: unknown) {
  const uncalled = Object.entries(want).find(([, maker]) => maker === value)?.[0];
  if (uncalled !== undefined)
    return invalidArgument(`The want "${name}" is the function want.${uncalled} itself; call it: want.${uncalled}().`);
  const near = nearest(typeof value === "string" ? value : name, Object.keys(want)) ?? "norms";
  return invalidArgument(
    `The want "${name}" is ${kindOf(value)}; make it with one of want's functions, such as want.${near}().`,
  );
}
