/** Option values, checked before any file is opened. */
import { InvalidArgumentError } from "commander";
import type { FixedValue } from "../onnx/read/batch/fixed-inputs.js";

/** The command was used wrongly: exit code 2. The message is one sentence. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const integer = /^[+-]?\d+$/;
const decimal = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** A whole number from `least` up, or to `most`. */
export function wholeNumber(least: number, most = Number.POSITIVE_INFINITY): (text: string) => number {
  return (text) => {
    const value = integer.test(text) ? Number(text) : Number.NaN;
    if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
    const upTo = Number.isFinite(most) ? `to ${most}` : "up";
    throw new InvalidArgumentError(
      `it must be a whole number${Number.isFinite(least) ? ` from ${least} ${upTo}` : ""}`,
    );
  };
}

/** A number of threads. Starting more than this takes minutes and speeds up nothing. */
export const threadCount = wholeNumber(1, 1024);

/** "a, b or c" */
export function alternatives(words: readonly string[]): string {
  return [words.slice(0, -1).join(", "), ...words.slice(-1)].filter((part) => part !== "").join(" or ");
}

export function number(text: string, fits: (value: number) => boolean, what: string): number {
  const value = decimal.test(text) ? Number(text) : Number.NaN;
  if (Number.isFinite(value) && fits(value)) return value;
  throw new InvalidArgumentError(`it must be ${what}`);
}

const units: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
};

/** A number of bytes: 1000000, 512MB, 1.5GiB. */
export function bytes(text: string): number {
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?) *([kmg]i?)?b?$/i.exec(text) ?? [];
  const exact = Number(amount) * (units[unit.toLowerCase()] ?? Number.NaN);
  const value = unit === "" ? exact : Math.floor(exact);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new InvalidArgumentError("it must be a size such as 512MB, 2GiB or 1000000 (bytes)");
}

/** The NAME and VALUE of NAME=VALUE. Names may contain "=": the last one counts. */
function assignment(text: string, form: string): readonly [string, string] {
  const at = text.lastIndexOf("=");
  if (at > 0 && at < text.length - 1) return [text.slice(0, at), text.slice(at + 1)];
  throw new InvalidArgumentError(`it must be ${form}`);
}

/** Adds to the values of a repeated option. */
export function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

/** The same for NAME=VALUE, each name once. */
export function collectInto<T>(form: string, parse: (value: string) => T) {
  return (text: string, before: ReadonlyMap<string, T> = new Map()): ReadonlyMap<string, T> => {
    const [name, value] = assignment(text, form);
    if (before.has(name)) throw new InvalidArgumentError(`"${name}" is given twice`);
    return new Map([...before, [name, parse(value)]]);
  };
}

export const sampleAxes = collectInto("NAME=AXIS or NAME=shared", (value) =>
  value === "shared" ? null : wholeNumber(Number.NEGATIVE_INFINITY)(value),
);

export const dimensions = collectInto("NAME=SIZE", wholeNumber(0));

/** A number, true, false, or several values separated by commas. */
function fixedValue(text: string): FixedValue {
  const parts = text.split(",").map((part) => {
    if (part === "true" || part === "false") return part === "true";
    if (integer.test(part)) return Number.isSafeInteger(Number(part)) ? Number(part) : BigInt(part);
    if (decimal.test(part)) return Number(part);
    throw new InvalidArgumentError(`"${part}" must be a number, true or false; separate several by commas, as 1,2,3`);
  });
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : parts;
}

export const fixedValues = collectInto("NAME=VALUE", fixedValue);

export type MaxNorm = number | ReadonlyMap<string, number>;

const perParameter = collectInto("C, or NAME=C for each parameter", limit);

function limit(text: string): number {
  return number(text, (value) => value > 0, "a number above 0");
}

/** One limit for the whole gradient, or one for each parameter. */
export function maxNorm(text: string, before?: MaxNorm): MaxNorm {
  if (before === undefined) return text.includes("=") ? perParameter(text) : limit(text);
  if (typeof before === "object" && text.includes("=")) return perParameter(text, before);
  throw new InvalidArgumentError("give one number for the whole gradient, or NAME=C for each parameter, but not both");
}

/** The flag of an option, given the name of its value: "--memory-budget" for "memoryBudget". */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
