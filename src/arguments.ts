/**
 * Mistakes that callers without a type checker make: reported in one sentence, before they cause a failure elsewhere.
 */
import { PergradError } from "./errors.js";
import { meant } from "./meant.js";
import { sentence, type Words } from "./sentence.js";

type KeysOf<O> = O extends unknown ? keyof O : never;

/** Lists every option of `O`; the compiler complains when a new option is missing. */
export type OptionNames<O> = Readonly<Record<KeysOf<O> & string, true>>;

/** An error with the code INVALID_ARGUMENT. */
export function invalidArgument(message: Words): PergradError {
  return new PergradError("INVALID_ARGUMENT", message);
}

/** Whether a value is a promise that was not awaited. */
export function isPromise(value: unknown): boolean {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

/** Describes a value, to end a sentence such as "..., not an array". */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (isPromise(value)) return "a promise";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value);
  if (typeof value === "function") return value.name === "" ? "a function" : `the function ${value.name}`;
  if (typeof value !== "object") return String(value);
  const name = value.constructor?.name ?? "Object";
  return name === "Object" ? "an object" : /^[AEIO]/.test(name) ? `an ${name}` : `a ${name}`;
}

/**
 * Refuses anything that is not a record of options, and options that do not exist. An undefined option counts as left
 * out.
 * @param call the function that takes the options, as users write it: "perSample(model, options)"
 * @throws PergradError INVALID_ARGUMENT.
 */
export function checkOptions<O>(call: string, options: O, names: OptionNames<O>): void {
  const given: unknown = options;
  if (isPromise(given)) throw invalidArgument(`The options of ${call} are a promise; await it first.`);
  if (typeof given !== "object" || given === null || Array.isArray(given) || ArrayBuffer.isView(given))
    throw invalidArgument(
      `${call} takes an object of options, such as { ${Object.keys(names).slice(0, 2).join(", ")} }, not ${kindOf(given)}; give one.`,
    );
  const known = Object.keys(names);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || Object.hasOwn(names, name)) continue;
    throw invalidArgument(
      `${call} has no option "${name}"${meant(name, known) || `; its options are ${known.join(", ")}.`}`,
    );
  }
}

/** Refuses what is no whole number from `least` to `most`, if it is given. Throws INVALID_ARGUMENT. */
export function checkWhole(what: Words, value: unknown, least: number, most = Number.MAX_SAFE_INTEGER): void {
  if (value === undefined || (Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most)) return;
  const range = most === Number.MAX_SAFE_INTEGER ? `${least} up` : `${least} to ${most}`;
  throw invalidArgument(sentence`${what} must be a whole number from ${range}, not ${kindOf(value)}.`);
}

/** The ends of a range of numbers. */
interface Range {
  /** The least, included. */
  readonly from?: number;
  /** The least, not included. */
  readonly above?: number;
  /** The most, not included. */
  readonly below?: number;
}

/** Refuses what is no finite number in this range, if it is given. Throws INVALID_ARGUMENT. */
export function checkNumber(what: string, value: unknown, { from, above, below }: Range = {}): void {
  const fits =
    typeof value === "number" &&
    Number.isFinite(value) &&
    value >= (from ?? value) &&
    !(value <= (above ?? Number.NEGATIVE_INFINITY)) &&
    value < (below ?? Number.POSITIVE_INFINITY);
  if (value === undefined || fits) return;
  const parts = [
    ...(from === undefined ? [] : [below === undefined ? ` from ${from} up` : ` from ${from}`]),
    ...(above === undefined ? [] : [` above ${above}`]),
    ...(below === undefined ? [] : [` below ${below}`]),
  ];
  throw invalidArgument(`${what} must be a number${parts.join(" and")}, not ${kindOf(value)}.`);
}

/** Refuses what is none of these words, if it is given. Throws INVALID_ARGUMENT. */
export function checkWord(what: string, value: unknown, words: readonly string[]): void {
  if (value === undefined || (typeof value === "string" && words.includes(value))) return;
  const advice = typeof value === "string" ? meant(value, words) : "";
  const quoted = words.map((word) => `"${word}"`);
  const all = `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`;
  throw invalidArgument(`${what} must be ${all}, not ${kindOf(value)}${advice || "."}`);
}

/** Refuses what is neither true nor false, if it is given. Throws INVALID_ARGUMENT. */
export function checkSwitch(what: string, value: unknown): void {
  if (value === undefined || typeof value === "boolean") return;
  throw invalidArgument(`${what} must be true or false, not ${kindOf(value)}.`);
}

/** Refuses what is no tensor. Throws INVALID_ARGUMENT. */
export function requireTensor(what: string, value: unknown): void {
  if (typeof value === "object" && value !== null && "dtype" in value && "dims" in value && "data" in value) return;
  throw invalidArgument(`${what} must be a tensor, not ${kindOf(value)}; give { dtype, dims, data }.`);
}

/** Refuses a single name or glob if a list is required. Throws INVALID_ARGUMENT. */
export function checkGlobs(option: string, globs: readonly string[] | undefined): void {
  const given: unknown = globs;
  if (given === undefined || (Array.isArray(given) && given.every((glob) => typeof glob === "string"))) return;
  const advice = typeof given === "string" ? `; write ["${given}"]` : "";
  throw invalidArgument(`${option} must be an array of names or globs, not ${kindOf(given)}${advice}.`);
}

/**
 * A prototype for `awaited`. Make it once, not for each promise: V8 gives each object with a new prototype a hidden class
 * of its own, and that slows down all code that handles promises. (So do accessors of its own, which take longer, too.)
 * @param what the call that returns the promise, as users write it: "perSample(...)"
 * @param names the fields of its result
 */
export function forgottenAwait(what: string, names: readonly string[]): object {
  const missing = names.filter((name) => !(name in Promise.prototype));
  const accessors = missing.map((name) => [name, { get: () => forgotten(what, name) }] as const);
  return Object.create(Promise.prototype, Object.fromEntries(accessors));
}

/**
 * A promise that throws a clear error if a field of its result is read from the promise itself.
 */
export function awaited<T>(promise: Promise<T>, prototype: object): Promise<T> {
  return Object.setPrototypeOf(promise, prototype);
}

function forgotten(what: string, name: string): never {
  throw invalidArgument(`${what} returns a promise, which has no "${name}"; write (await ${what}).${name} instead.`);
}
