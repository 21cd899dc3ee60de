/** Checks that a file's form has the fields that pergrad writes, with their types. */
import { isDType } from "../tensor/tensor.js";

type Fields = Readonly<Record<string, unknown>>;
type Is = (value: unknown) => boolean;

const isText: Is = (value) => typeof value === "string";
const isNumber: Is = (value) => Number.isFinite(value);
const isCount: Is = (value) => Number.isSafeInteger(value) && Number(value) >= 0;
const isTruth: Is = (value) => typeof value === "boolean";
/** `"N"`, `"N*3"`, or a number. */
const isDim: Is = (value) => isCount(value) || (typeof value === "string" && /^N(\*\d{1,15})?$/.test(value));

const or =
  (is: Is, other: unknown): Is =>
  (value) =>
    value === other || is(value);
const listOf =
  (is: Is): Is =>
  (value) =>
    Array.isArray(value) && value.every(is);
const recordOf =
  (is: Is): Is =>
  (value) =>
    isRecord(value) && Object.values(value).every(is);
const withFields =
  (fields: Readonly<Record<string, Is>>): Is =>
  (value) =>
    isRecord(value) && Object.entries(fields).every(([name, is]) => is(value[name]));

function isRecord(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const type = { name: isText, dtype: (value: unknown) => isDType(String(value)), shape: listOf(isDim) };

const isInput: Is = (value) =>
  withFields({
    ...type,
    sampleAxis: or(isCount, null),
    lengths: or(withFields({ atMost: or(isNumber, null) }), undefined),
    labels: or(listOf(withFields({ classes: isCount, ignored: or(isNumber, undefined), by: isText })), undefined),
    rows: or(listOf(withFields({ rows: isCount, by: isText })), undefined),
  })(value) && hasAxis(value, "sampleAxis");

/** Whether an axis, if there is one, is within the shape. */
function hasAxis(value: unknown, field: string, shape: unknown = isRecord(value) ? value.shape : undefined): boolean {
  const axis = isRecord(value) ? value[field] : undefined;
  return typeof axis !== "number" || (Array.isArray(shape) && axis < shape.length);
}

const joinings: Readonly<Record<string, Is>> = {
  samples: withFields({ at: withFields({ axis: isCount, outer: isCount, inner: isCount }) }),
  deviations: withFields({ sum: isText }),
  sum: isRecord,
  mean: isRecord,
  shared: isRecord,
  whole: isRecord,
};

const isJoining: Is = (value) => {
  const kind = isRecord(value) ? String(value.kind) : "";
  return Object.hasOwn(joinings, kind) && joinings[kind]?.(value) === true;
};

const isResult: Is = (value) =>
  withFields({ ...type, joining: isJoining })(value) &&
  isRecord(value) &&
  (!isRecord(value.joining) || hasAxis(value.joining.at, "axis", value.shape));

const fields: Readonly<Record<string, readonly [is: Is, what: string]>> = {
  weights: [(value) => value === "inside" || value === "inputs", 'neither "inside" nor "inputs"'],
  inputs: [listOf(isInput), "no list of inputs"],
  unread: [or(listOf(isInput), undefined), "no list of inputs"],
  output: [listOf(isDim), "no shape"],
  parameters: [listOf(withFields({ ...type, differentiated: isTruth })), "no list of parameters"],
  wants: [recordOf(withFields({ kind: isText })), "no record of wants"],
  results: [listOf(isResult), "no list of results"],
  vectors: [listOf(withFields({ ...type, want: isText, parameter: isText })), "no list of vectors"],
  scalars: [listOf(withFields({ ...type, want: isText, scalar: isText, initial: isNumber })), "no list of scalars"],
  others: [listOf(withFields({ want: isText })), "no list of other batches"],
  whole: [or(isText, null), "no reason"],
  watch: [or(withFields({ name: isText, bound: isNumber }), null), "no result and its bound"],
  memory: [listOf(withFields({ fixed: isNumber, perSample: isNumber, perPair: isNumber })), "no list of bytes"],
  notFinite: [isTruth, "neither true nor false"],
};

/** What is wrong with a form, as the end of a sentence; undefined if nothing is. */
export function faultOf(form: unknown): string | undefined {
  if (!isRecord(form)) return "it is no record";
  const odd = Object.entries(fields).find(([name, [is]]) => !is(form[name]));
  return odd ? `"${odd[0]}" is ${odd[1][1]}` : faultOfNames(form);
}

/** A result that another field names must exist. */
function faultOfNames({ results, watch }: Fields): string | undefined {
  const all = Array.isArray(results) ? results.filter(isRecord) : [];
  const sums = all.flatMap(({ joining }) => (isRecord(joining) && joining.kind === "deviations" ? [joining.sum] : []));
  const named = [...sums, ...(isRecord(watch) ? [watch.name] : [])];
  const missing = named.find((name) => !all.some((result) => result.name === name));
  return missing === undefined ? undefined : `it has no result "${String(missing)}", which another field names`;
}
