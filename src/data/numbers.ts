/** Values of tables as numbers. */
import { PergradError } from "../errors.js";
import { counted } from "../meant.js";
import { sentence, type Words } from "../sentence.js";

/** Where a value stands, for messages. Rows count from 0. */
export interface Place {
  readonly column: string;
  readonly row: number;
}

/** The texts that pandas reads as missing values, in lower case. */
const missingTexts = /^(|#n\/a( n\/a)?|#na|<na>|n\/a|na|[+-]?nan|null|none|-?1\.#ind|-?1\.#qnan)$/;
const decimalText = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/;
const infiniteText = /^([+-]?)inf(inity)?$/;

/** The number that a value stands for: NaN if it marks what is missing, 1 and 0 for true and false; undefined if none. */
export function numberIn(value: unknown): number | undefined {
  if (value === null || value === undefined) return Number.NaN;
  if (typeof value === "number") return value;
  if (typeof value === "bigint" || typeof value === "boolean") return Number(value);
  if (typeof value !== "string") return undefined;
  const text = value.trim().toLowerCase();
  if (missingTexts.test(text)) return Number.NaN;
  if (text === "true" || text === "false") return Number(text === "true");
  const infinite = infiniteText.exec(text);
  if (infinite) return infinite[1] === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  return decimalText.test(text) ? Number(text) : undefined;
}

/** What is wrong with a value, and what to do. */
type Problem = readonly [what: string, advice: string];

const dateOrTime = [
  /^\d{4}-\d\d?-\d\d?([T ]\S+)?$/,
  /^\d{1,4}\/\d{1,2}\/\d{1,4}( .*)?$/,
  /^\d{1,2}:\d\d(:\d\d(\.\d+)?)?( ?[AP]M)?$/i,
  // Durations, as ISO 8601 and pandas write them.
  /^P[\dT][\d.,TYMWDHS-]*$/,
  /^-?\d+ days?( .*)?$/,
];
const otherFormat = /^[+-]?\d[\d.,_' \u00a0\u202f\u2019]*%?$/;

/** Of a text that only looks like a number or a time; undefined for other texts, which may name a class. */
export function formatProblem(text: string): Problem | undefined {
  if (dateOrTime.some((form) => form.test(text.trim())))
    return ["is a date or a time", "convert it to a number first, such as the seconds since a certain day"];
  if (otherFormat.test(text.trim()))
    return ["is a number in another form", "write it with a decimal point and without separators"];
  return undefined;
}

function problemOf(value: unknown, found: number | undefined): Problem {
  if (found === undefined) {
    if (isBytes(value)) return ["is no number", "decode them to numbers or texts first"];
    const text = value instanceof Date ? value.toISOString() : value;
    return (typeof text === "string" ? formatProblem(text) : undefined) ?? ["is no number", "encode it as numbers"];
  }
  if (Number.isNaN(found)) return ["is a missing value", "fill it in or leave the row out"];
  return Number.isFinite(found)
    ? ["is too large for float32", "scale the column"]
    : ["is infinite", "correct it or leave the row out"];
}

/** Advice that depends on the value, and on the number that it stands for: the end of a sentence. */
export type Advice = (value: unknown, found: number | undefined) => Words;

/** Throws DTYPE_MISMATCH for what is no number, NOT_FINITE for what is missing or infinite or too large for float32. */
export function requireNumber(
  value: unknown,
  { column, row }: Place,
  allowNotFinite = false,
  more: Advice = () => "",
): number {
  const found = numberIn(value);
  if (found !== undefined) {
    if (Number.isFinite(Math.fround(found))) return found;
    if (allowNotFinite && !Number.isFinite(found)) return found;
  }
  const [what, advice] = problemOf(value, found);
  throw new PergradError(
    found === undefined ? "DTYPE_MISMATCH" : "NOT_FINITE",
    sentence`The column "${column}" holds ${shown(value)} in row ${row}, which ${what}; ${advice}${more(value, found)}.`,
  );
}

/** Throws DTYPE_MISMATCH for fractions, and for whole numbers beyond 2^53, which float64 does not tell apart. */
export function requireWhole(value: unknown, place: Place, more?: Advice): number {
  const found = requireNumber(value, place, false, more);
  if (Number.isSafeInteger(found)) return found;
  throw new PergradError(
    "DTYPE_MISMATCH",
    `The column "${place.column}" holds ${shown(value)} in row ${place.row}, which is no whole number within 2^53; correct it, or let the column be float32.`,
  );
}

/** A value in a message. */
export function shown(value: unknown): string {
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  if (isBytes(value)) return counted(value.byteLength, "byte");
  const text = JSON.stringify(value, (_, each) => (typeof each === "bigint" ? Number(each) : each)) ?? "nothing";
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}

function isBytes(value: unknown): value is Uint8Array | ArrayBuffer {
  return value instanceof Uint8Array || value instanceof ArrayBuffer;
}

/** Whether a value of a row holds several values. Bytes do not: they may be a picture or a text. */
export function isList(value: unknown): value is Iterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.iterator in value && !isBytes(value);
}
