/**
 * Dropout whose masks are a function of one seed per sample, computed inside the graph: repeating the seeds repeats a
 * run, and a sample has the same mask alone as in any batch.
 *
 * Element (r, q) of a sample is kept or not by the high bits of an inner product of two vectors of small integers,
 * modulo 2^16: a key a[n, r], hashed from the seed, and constants c[q]. All numbers are below 2^24, so a float32 MatMul
 * is exact in any order of summation. The hash works on int64 below 2^53, which the float64 reference holds exactly
 * too.
 */
import { PergradError } from "../errors.js";
import { isBatch, showShape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import { addOperators } from "../ops/registry.js";
import { bitwise } from "../ops/rules/bitwise.js";
import { type Random, random } from "../tensor/random.js";
import { constant, where } from "../trace/functions.js";
import { invalid } from "../trace/shape.js";
import type { Traced } from "../trace/traced.js";
import type { Module } from "./module.js";

/** The number of products in an element's inner product; two samples or two positions agree by chance once in 2^30. */
const products = 8;
/** Two more key words make a uniform offset, so that each element is kept with exactly the given probability. */
const words = products + 2;
const keyBits = 10;
/** 8 * 1023 * 2040 and the offsets, up to 1023 * 65, stay below 2^24. */
const largestFactor = 2040;
const modulus = 2 ** 16;
/**
 * The number of elements that share a key: a larger number hashes fewer keys but puts more constants into the graph.
 */
const rowLength = 1024;

const whole = (source: Random, below: number) => Math.floor(source.uniform(0, below));

/** c[k, q] / 2^16, [words, length]; the same in all layers. */
function factors(length: number): Traced {
  const source = random(1);
  const data = new Float32Array(words * length);
  for (let q = 0; q < length; q++) {
    for (let k = 0; k < products; k++) data[k * length + q] = (1 + whole(source, largestFactor)) / modulus;
    data[products * length + q] = 2 ** (16 - keyBits) / modulus;
    data[(products + 1) * length + q] = 1 / modulus;
  }
  return constant({ dtype: "float32", dims: [words, length], data });
}

/** 32 random bits for each word of each row's key, [rows, words]; each stream has its own. */
function salts(rows: number, stream: number): Traced {
  const source = random(2 + stream);
  const data = BigInt64Array.from({ length: rows * words }, () => BigInt(whole(source, 2 ** 32)));
  return constant({ dtype: "int64", dims: [rows, words], data });
}

const integer = (value: number) => constant(value, "int64");
const low32 = (x: Traced) => x.onnx("BitwiseAnd", [integer(2 ** 32 - 1)]);
const shifted = (x: Traced, bits: number) => x.div(integer(2 ** bits));
const xor = (x: Traced, y: Traced) => x.onnx("BitwiseXor", [y]);

/**
 * A bijection of 32-bit numbers in which each bit depends on all others: x ^= x >> 16, then a multiplication, twice.
 */
function mixed(x: Traced): Traced {
  // Odd, and below 2^21, so that products stay below 2^53.
  const once = low32(xor(x, shifted(x, 16)).mul(integer(0x1c8e55)));
  return low32(xor(once, shifted(once, 15)).mul(integer(0x19d699)));
}

/** What a graph has drawn so far from one seed input. */
interface Source {
  readonly mixed: Traced;
  streams: number;
}

const sources = new WeakMap<Value, Source>();

/** The hashed seeds, and the number of their next use in the graph. */
function nextStream(seed: Traced): { readonly key: Traced; readonly stream: number } {
  addOperators(bitwise);
  const source = sources.get(seed.value) ?? { mixed: mixed(mixed(low32(seed))), streams: 0 };
  sources.set(seed.value, source);
  return { key: source.mixed.within(seed.scope), stream: source.streams++ };
}

/** Numbers below 1 in steps of 2^-16, [N, size], of seeds [N]. */
function uniforms(seed: Traced, size: number): Traced {
  const length = Math.max(1, Math.min(size, rowLength));
  const rows = Math.ceil(size / length);
  const { key, stream } = nextStream(seed);
  const hashed = mixed(xor(key.reshape(["N", 1, 1]), salts(rows, stream)));
  const keys = shifted(hashed, 32 - keyBits).cast("float32");
  const sums = keys.matmul(factors(length));
  const flat = sums.sub(sums.onnx("Floor")).reshape(["N", rows * length]);
  return rows * length === size ? flat : flat.slice(1, 0, size);
}

/** The axis of x that counts its samples. */
function sampleAxisOf(x: Traced): number {
  const axis = x.value.shape.findIndex(isBatch);
  const dim = x.value.shape[axis];
  if (isBatch(dim) && dim.perSample === 1) return axis;
  throw new PergradError(
    "SHAPE_MISMATCH",
    `it takes a tensor with a sample axis of size N, but its input is ${showShape(x.value.shape)}.`,
  );
}

function requireSeed(seed: Traced | undefined): Traced {
  if (!seed)
    throw new PergradError("MISSING_TENSOR", `it needs the input "seed", int64 [N]; give it when the layer is called.`);
  const { shape } = seed.value;
  if (shape.length === 1 && isBatch(shape[0]) && shape[0].perSample === 1) return seed;
  throw new PergradError("SHAPE_MISMATCH", `its seed is one number per sample, [N], not ${showShape(shape)}.`);
}

/** 1 / (1 - p), or 0 where x is dropped; in the shape of x. */
function mask(x: Traced, seed: Traced, threshold: number): Traced {
  const axis = sampleAxisOf(x);
  const others = x.shape.filter((_, at) => at !== axis) as number[];
  const size = others.reduce((product, dim) => product * dim, 1);
  const kept = uniforms(seed.within(x.scope), size).greaterOrEqual(threshold / modulus);
  const scale = threshold === modulus ? 0 : modulus / (modulus - threshold);
  // The sample axis goes where x has it.
  const order = x.shape.map((_, at) => (at === axis ? 0 : at < axis ? at + 1 : at));
  return where(kept, constant(scale).cast(x.dtype), constant(0).cast(x.dtype))
    .reshape(["N", ...others])
    .transpose(order);
}

/**
 * Sets each element to 0 with probability `p`, and multiplies the others by 1 / (1 - p). The model gets one more input,
 * `seed`, int64 [N], which all its dropout layers share: a sample's masks are a function of its own seed (modulo 2^32)
 * and of the layer. Give every sample a different seed, and new seeds at every step. With p = 0 the layer is the
 * identity and needs no seed: use this to evaluate a model with the same parameter names. p is rounded to a multiple of
 * 2^-16.
 * @throws PergradError INVALID_ARGUMENT: p is not a probability.
 * @throws PergradError MISSING_TENSOR or SHAPE_MISMATCH, when called: there is no `seed` `[N]`, or x has no sample
 *   axis.
 */
export function dropout(p = 0.5): Module {
  if (!(p >= 0 && p <= 1)) throw invalid(`dropout: p must be a probability, not ${p}.`);
  if (p === 0) return { name: "dropout", parameters: {}, forward: (x) => x };
  const threshold = Math.round(p * modulus);
  return {
    name: "dropout",
    parameters: {},
    inputs: { seed: { dtype: "int64", shape: ["N"] } },
    forward: (x, _, { seed } = {}) => {
      const given = requireSeed(seed);
      return x.value.shape.includes(0) ? x : x.mul(mask(x, given, threshold));
    },
  };
}
