/**
 * Initializers that configure an operator: bounds, exponents, values to fill with, statistics. Some are trained all the
 * same (the exponent of a generalised mean, a learned bound of a clipping).
 */
import { never, type Setting } from "../../../ops/definition.js";
import { standardDefinition } from "../../../ops/registry.js";
import type { Tensor } from "../../../tensor/tensor.js";
import { asWritten } from "../../as-written.js";
import type { Use, Uses } from "../uses.js";
import { isNonNegative } from "./non-negative.js";

const statistic = never("a statistic of the data, by which features are prepared");

/** Operators of classic machine learning and of old opsets, which are replaced while a file is read. */
const dissolved: ReadonlyMap<string, Readonly<Record<number, Setting>>> = new Map([
  ["Imputer", { 1: statistic }],
  ["ImageScaler", { 1: never("it scales an image") }],
  ["Scaler", { 1: statistic, 2: statistic }],
  ["Upsample", { 1: never("it says how an image is resized") }],
]);

/** Why an initializer is a constant. */
export interface Constancy {
  readonly why: string;
  /** Whether it might be a weight after all, so that the user should look. */
  readonly doubtful: boolean;
}

/** Names which say that a number configures something rather than being trained. */
const settings =
  /(^|[._/:-])(\w*_)?(min|max|minimum|maximum|lo|low|lower|hi|high|upper|bounds?|limits?|ratio|prob|pad|fill|value|val|on|off|zero|one|two|three|four|half|third|quarter|square|cube|inf|neg_inf|const\w*)(_?\d+)?(:0)?$/i;

function positionOf({ node, index }: Use, tensor: Tensor): Setting | undefined {
  // Separate exponents for each element are not part of a formula.
  if (node.opType === "Pow" && tensor.data.length > 1) return undefined;
  return (standardDefinition(node.opType)?.settings ?? dissolved.get(node.opType))?.[index];
}

/**
 * Why an initializer that only configures operators is not a parameter; null if it is also read in another way, or
 * looks trained. `said` is what its exporter says, `chosen` whether somebody chose its name.
 */
export function whyConfiguration(
  name: string,
  tensor: Tensor<"float32">,
  uses: Uses,
  { said, chosen }: { readonly said: "parameter" | "buffer" | undefined; readonly chosen: boolean },
): Constancy | null {
  const readers = uses.readersOf(name);
  const found = readers.map((use) => positionOf(use, tensor));
  const [first] = found;
  if (!first || !found.every((position) => position !== undefined)) return null;
  const possible = found.every(({ trained }) => trained === true || (trained === "said" && said === "parameter"));
  const uneven = readers.every((use) => isUneven(use, tensor, uses));
  const trained = said ? said === "parameter" : chosen && !settings.test(name) && uneven;
  if (possible && trained) return null;
  const round = possible && chosen && !said && !settings.test(name);
  return {
    why: `${first.what}${round ? ", and a round number" : ""}`,
    doubtful: possible && !said && (round || uneven),
  };
}

/** Whether the number looks trained rather than written down: training leaves no round numbers. */
function isUneven({ node, index }: Use, { data }: Tensor<"float32">, uses: Uses): boolean {
  if (node.opType !== "Pow") return data.some((element) => !isRound(element, 3));
  const [exponent = 0] = data;
  // A whole power of a value that may be negative has no derivative in the exponent; a generalised mean starts at 3.
  const whole = Number.isInteger(exponent) || Math.abs(exponent) === 0.5;
  return !whole || (exponent !== 2 && exponent > 0.5 && isNonNegative(node.input[1 - index] ?? "", uses));
}

/** Whether the number has at most this many decimal digits; infinities and the largest floats count as round too. */
export function isRound(element: number, digits: number): boolean {
  if (!Number.isFinite(element) || Math.abs(element) > 1e30) return true;
  return Math.fround(Number(asWritten(element).toPrecision(digits))) === element;
}
