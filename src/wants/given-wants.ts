/** What is wanted, as callers give it. */
import { invalidArgument, isPromise, kindOf } from "../arguments.js";
import { nearest } from "../meant.js";
import type { Wants, want } from "./want.js";

/** All that `want` has. */
const names = [
  "gradients",
  "norms",
  "clippedSum",
  "sum",
  "mean",
  "losses",
  "outputs",
  "moments",
  "noiseScale",
  "dot",
  "gram",
  "cosine",
  "cross",
  "project",
  "reduce",
  "hvp",
  "ggnProduct",
  "fisherProduct",
  "ggnDiagonal",
  "hessianDiagonal",
  "trace",
  "jacobian",
  "ntk",
  "kroneckerFactors",
] as const satisfies readonly (keyof typeof want)[];

const example = "{ norms: want.norms() }";

/** Throws INVALID_ARGUMENT where it is no record of wants. */
export function requireWants(given: Wants): void {
  const wants: unknown = given;
  if (wants === undefined || wants === null)
    throw invalidArgument(`What is wanted is missing; say what to compute: want: ${example}.`);
  if (isWant(wants)) throw invalidArgument(`The want needs a name of its own; write want: ${example}.`);
  if (typeof wants !== "object" || isPromise(wants))
    throw invalidArgument(`want is a record of wants by names of your own, as ${example}, not ${kindOf(wants)}.`);
  for (const [name, each] of Object.entries(wants)) if (!isWant(each)) throw wrong(name, each);
}

/** The wants themselves, of those that stand for others. */
export async function loadedWants<W extends Wants>(wants: W): Promise<W> {
  const entries = Object.entries(wants).map(async ([name, each]) => [name, (await each.later?.()) ?? each] as const);
  return { ...wants, ...Object.fromEntries(await Promise.all(entries)) };
}

function isWant(value: unknown): boolean {
  return typeof value === "object" && value !== null && "emit" in value && "read" in value;
}

function wrong(name: string, value: unknown) {
  const near = nearest(typeof value === "string" ? value : name, names) ?? "norms";
  if (typeof value === "function") {
    // What packs a page renames functions: then only the user's own name says which one was meant.
    const maker = names.find((each) => each === value.name) ?? near;
    return invalidArgument(`The want "${name}" is the function want.${maker} itself; call it: want.${maker}().`);
  }
  return invalidArgument(
    `The want "${name}" is ${kindOf(value)}; make it with one of want's functions, such as want.${near}().`,
  );
}
