/**
 * Stores plain values (a trainer's state) in one safetensors file: tensors and typed arrays as its tensors, named by
 * their path ("parameters/fc1.weight"), everything else as JSON in its metadata. Reading returns exactly what was
 * written, bit for bit.
 */

import { PergradError } from "../errors.js";
import { openSafetensors, readSafetensors } from "../io/safetensors.js";
import { arrayOf, dtypeOfArray, isDType, sizeOf, type Tensor, type TypedArray, tensorWith } from "../tensor/tensor.js";

/** Values that JSON cannot express are marked by a key of their own. */
type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** The metadata key of the JSON, and the description of the file. */
const key = "pergrad.state";

/** Writes the file, completely or not at all. Throws FILE_UNWRITABLE, INVALID_ARGUMENT (a value that is not plain). */
export async function writeState(path: string, state: object): Promise<void> {
  const tensors = new Map<string, Tensor>();
  const json = encode(state, "", tensors);
  const writer = await openSafetensors(path, tensors, { [key]: JSON.stringify(json) });
  try {
    for (const [name, { data }] of tensors) await writer.write(name, 0, data);
    await writer.commit();
  } finally {
    await writer.abort();
  }
}

/** Reads what `writeState` wrote. Throws FILE_UNREADABLE. */
export async function readState(path: string): Promise<unknown> {
  const { tensors, metadata } = await readSafetensors(path);
  const json = Object.hasOwn(metadata, key) ? metadata[key] : undefined;
  if (json === undefined) throw unreadableState(path, "it holds tensors, but no state of a training run");
  try {
    return decode(JSON.parse(json) as Json, tensors);
  } catch (error) {
    throw error instanceof SyntaxError ? unreadableState(path, "its metadata is damaged") : error;
  }
}

function unreadableState(path: string, problem: string): PergradError {
  return new PergradError("FILE_UNREADABLE", `Cannot read the state "${path}": ${problem}.`);
}

function isTensor(value: object): value is Tensor {
  const { dtype, dims, data } = value as Partial<Tensor>;
  if (typeof dtype !== "string" || !isDType(dtype) || !Array.isArray(dims)) return false;
  return data instanceof arrayOf(dtype) && data.length === sizeOf(dims) && Object.keys(value).length === 3;
}

function encode(value: unknown, at: string, tensors: Map<string, Tensor>): Json {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "bigint") return { $bigint: String(value) };
  if (typeof value === "number")
    return Number.isFinite(value) && !Object.is(value, -0)
      ? value
      : { $number: Object.is(value, -0) ? "-0" : String(value) };
  if (Array.isArray(value)) return value.map((each, k) => encode(each, below(at, String(k)), tensors));
  if (typeof value !== "object") throw notPlain(at, `is a ${typeof value}`);
  if (isTensor(value)) return { $tensor: store(value, at, tensors) };
  if (ArrayBuffer.isView(value)) return { $array: storeArray(value as TypedArray, at, tensors) };
  if (Object.getPrototypeOf(value) !== Object.prototype) throw notPlain(at, "is an object of a class");
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  if (entries.some(([name]) => name.startsWith("$"))) throw notPlain(at, 'has a key that starts with "$"');
  return Object.fromEntries(entries.map(([name, each]) => [name, encode(each, below(at, name), tensors)]));
}

const below = (at: string, name: string) => (at === "" ? name : `${at}/${name}`);

function storeArray(data: TypedArray, at: string, tensors: Map<string, Tensor>): string {
  const dtype = dtypeOfArray(data);
  // A derived class (Buffer, say) would come back as another one.
  if (!dtype || data.constructor !== arrayOf(dtype)) throw notPlain(at, `is a ${data.constructor.name}`);
  return store(tensorWith(dtype, [data.length], data), at, tensors);
}

/** Two paths may have the same name, because names may contain a slash. */
function store(tensor: Tensor, at: string, tensors: Map<string, Tensor>): string {
  let name = at;
  for (let k = 2; tensors.has(name) || name === "__metadata__"; k++) name = `${at}#${k}`;
  tensors.set(name, tensor);
  return name;
}

function notPlain(at: string, problem: string): PergradError {
  return new PergradError("INVALID_ARGUMENT", `A state must be plain values, but ${at || "it"} ${problem}.`);
}

function decode(json: Json, tensors: ReadonlyMap<string, Tensor>): unknown {
  if (json === null || typeof json !== "object") return json;
  if (isList(json)) return json.map((each) => decode(each, tensors));
  const [first] = Object.keys(json);
  const special = first?.startsWith("$") ? json[first] : undefined;
  if (special === undefined)
    return Object.fromEntries(Object.entries(json).map(([name, each]) => [name, decode(each, tensors)]));
  if (first === "$bigint") return BigInt(String(special));
  if (first === "$number") return Number(special);
  const tensor = tensors.get(String(special));
  if (!tensor) throw new SyntaxError("a tensor is missing");
  return first === "$array" ? tensor.data : tensor;
}

function isList(json: Json): json is readonly Json[] {
  return Array.isArray(json);
}
