/** The initializers of a file: weights become parameters, all others constants. */
import type { TensorProto } from "onnx-buf";
import { matcher } from "../glob.js";
import { constantValue, leaf, type Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import { sizeOf, type Tensor } from "../tensor.js";
import { asWritten } from "./as-written.js";
import type { Constancy } from "./configuration.js";
import { listed, Names } from "./names.js";
import { readableName } from "./parameter-names.js";
import type { Scope } from "./scope.js";
import type { Structure } from "./structure.js";
import { decodeTensor, isFloat32, type PrecisionNotes } from "./tensors.js";
import type { Uses } from "./uses.js";
import { isRepeated, whyConstant } from "./weights.js";

/** Of a loaded file. */
export interface InitializerOptions {
  /** Globs of initializers that are parameters even where they look like constants; "*" alone says nothing. */
  readonly parameters?: readonly string[];
}

/** A few floats are numbers that somebody wrote; a long row of them was computed. */
const mostWritten = 16;

/** A constant of a file, its floats as they were written. */
export function fileConstant(tensor: Tensor, name: string): Value {
  if (!isFloat32(tensor) || tensor.data.length > mostWritten) return constantValue(tensor, name);
  const data = Float64Array.from(tensor.data, asWritten);
  return constantValue({ dtype: "float64", dims: tensor.dims, data }, name, tensor.dtype);
}

export class Initializers {
  /** By name; the leaves are in `leaves`. */
  readonly tensors = new Map<string, Tensor<"float32">>();
  readonly leaves: Value[] = [];
  readonly #names = new Names();
  readonly #unused = new Set<string>();
  /** A graph inside a node may be read several times. */
  readonly #values = new Map<TensorProto, Value>();
  /** Floating-point initializers that are no parameters, each with the reason. */
  readonly constants = new Map<string, string>();
  /** By reason. */
  readonly #doubtful = new Map<string, string[]>();
  readonly #renamed: string[] = [];
  readonly #named: readonly ((name: string) => boolean)[];

  constructor(
    readonly uses: Uses,
    readonly inputs: ReadonlySet<string>,
    { parameters = [] }: InitializerOptions,
    readonly precision: PrecisionNotes,
    readonly build: Build,
  ) {
    this.#named = parameters.filter((glob) => !glob.startsWith("!") && !/^\*+$/.test(glob)).map(matcher);
  }

  /** Puts the initializers of a graph into its scope. */
  read({ initializers, read }: Structure, scope: Scope): void {
    for (const name of initializers.keys()) this.#names.claim(name);
    for (const [name, proto] of initializers) {
      const value = this.#values.get(proto) ?? (read.has(name) ? this.#value(name, proto) : undefined);
      if (value) {
        scope.set(name, value);
        this.#values.set(proto, value);
      } else this.#unused.add(name);
    }
  }

  #value(name: string, proto: TensorProto): Value {
    const tensor = decodeTensor(proto, `The initializer "${name}"`, this.precision);
    if (!isFloat32(tensor)) return constantValue(tensor, name);
    const known = readableName(name, this.uses);
    if (!this.#isNamed(name) && !this.#isNamed(known)) {
      const found = whyConstant(name, tensor, this.uses, this.inputs);
      if (found) return this.#constant(name, tensor, found);
    }
    if (!isRepeated(name, this.uses)) return this.#parameter(name, known, tensor);
    const row = oneRow(tensor);
    const weight = this.#parameter(name, known, row);
    return row === tensor ? weight : this.build.expand(weight, tensor.dims);
  }

  #constant(name: string, tensor: Tensor<"float32">, { why, doubtful }: Constancy): Value {
    const value = doubtful ? fileConstant(tensor, name) : constantValue(tensor, name);
    this.constants.set(name, why);
    if (doubtful) this.#doubtful.set(why, [...(this.#doubtful.get(why) ?? []), name]);
    return value;
  }

  #isNamed(name: string): boolean {
    return this.#named.some((matches) => matches(name));
  }

  #parameter(name: string, readable: string, tensor: Tensor<"float32">): Value {
    const taken = readable === name && !this.tensors.has(name) ? name : this.#names.fresh(readable);
    if (taken !== name) this.#renamed.push(`${taken} (${name} in the file)`);
    this.tensors.set(taken, tensor);
    const value = leaf(taken, { dtype: tensor.dtype, shape: tensor.dims }, { kind: "parameter" });
    this.leaves.push(value);
    return value;
  }

  /** What the user may want to know: constants that might be weights, names made readable, leftovers. */
  notes(): string[] {
    const constants = [...this.#doubtful].map(
      ([why, names]) =>
        `Taken for constants, not weights (${why}): ${listed(names, 4)}; to change that, name them in parameters.`,
    );
    const renamed = this.#renamed.length > 0 ? [`Names made readable: ${listed(this.#renamed, 4)}.`] : [];
    const unused = [...this.#unused].map((name) => `The initializer "${name}" is not used.`);
    return [...constants, ...renamed, ...unused];
  }
}

/** The first of equal rows, else the tensor itself. */
function oneRow(tensor: Tensor<"float32">): Tensor<"float32"> {
  const [count = 1, ...rest] = tensor.dims;
  const size = sizeOf(rest);
  const { dtype, data } = tensor;
  if (count < 2 || data.some((element, k) => !Object.is(element, data[k % size]))) return tensor;
  return { dtype, dims: [1, ...rest], data: data.slice(0, size) };
}
