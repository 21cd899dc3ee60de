/** The initializers of a file: weights become parameters, all others constants. */

import type { NodeProto, TensorProto } from "onnx-buf";
import { defect } from "../../../errors.js";
import type { StoredTensor } from "../../../graph/model.js";
import { matcher, matchesNothing } from "../../../graph/select-names.js";
import { constantValue, leaf, type Value } from "../../../graph/value.js";
import { listed } from "../../../meant.js";
import type { Build } from "../../../ops/build.js";
import { isFloat, sizeOf, type Tensor } from "../../../tensor/tensor.js";
import { asWritten } from "../../as-written.js";
import { Names } from "../../names.js";
import { computedType, storedTypeOf } from "../../proto.js";
import { decodeTensor, isFloat32, type PrecisionNotes } from "../../tensors.js";
import type { Scope } from "../scope.js";
import type { Structure } from "../structure.js";
import type { Uses } from "../uses.js";
import type { Constancy } from "./configuration.js";
import { type FoldedConstant, foldedNotes, parametersBehind, refuseFolded } from "./folded.js";
import { fusedNotes } from "./fused.js";
import { mergedNotes } from "./merged.js";
import { readableName } from "./parameter-names.js";
import { type Tie, Ties, tiedTensor, tiedValue, type Weight } from "./ties.js";
import { isGenerated, isRepeated, whyConstant } from "./weights.js";

/** Of a loaded file. */
export interface InitializerOptions {
  /** Globs of initializers that are parameters even if they look like constants; "*" alone has no effect. */
  readonly parameters?: readonly string[];
  /** Whether weights that the file stores twice, as copies or transposed, are one parameter. Default: true. */
  readonly tie?: boolean;
  /** Whether constants that the exporter computed from parameters are an error. Default: false, a note. */
  readonly strict?: boolean;
}

/** An initializer that is a parameter, unless it repeats another. */
interface WeightEntry {
  readonly inFile: string;
  readonly weight: Weight;
}

type Entry = WeightEntry | { readonly proto: TensorProto; readonly value: Value };

/** A few floats are numbers that somebody wrote; more than this many were computed. */
const maxWritten = 16;

/** A constant of a file, its floats as they were written. */
export function fileConstant(tensor: Tensor, name: string): Value {
  if (!isFloat32(tensor) || tensor.data.length > maxWritten) return constantValue(tensor, name);
  const data = Float64Array.from(tensor.data, asWritten);
  return constantValue({ dtype: "float64", dims: tensor.dims, data }, name, tensor.dtype);
}

function decodeInitializer(name: string, proto: TensorProto, precision: PrecisionNotes): Tensor {
  return decodeTensor(proto, `The initializer "${name}"`, precision);
}

export class Initializers {
  /** By name; the leaves are in `leaves`. */
  readonly tensors = new Map<string, Tensor<"float32">>();
  readonly leaves: Value[] = [];
  /** Floating-point initializers that are not parameters of their own. */
  readonly stored: StoredTensor[] = [];
  readonly #names = new Names();
  readonly #unused = new Set<string>();
  readonly #ties = new Ties((a, b) => this.#haveCommonReader(a, b));
  readonly #tiedNames: string[] = [];
  readonly #weights = new Map<Weight, Value>();
  readonly #folded: FoldedConstant[] = [];
  /** A graph inside a node may be read several times. */
  readonly #values = new Map<TensorProto, Value>();
  /** Floating-point initializers that are not parameters, each with the reason. */
  readonly constants = new Map<string, string>();
  /** By reason. */
  readonly #doubtful = new Map<string, string[]>();
  readonly #renamed: string[] = [];
  readonly #named: readonly { readonly glob: string; readonly matches: (name: string) => boolean }[];
  readonly #matched = new Set<string>();

  constructor(
    readonly uses: Uses,
    readonly inputs: ReadonlySet<string>,
    readonly options: InitializerOptions,
    readonly precision: PrecisionNotes,
    readonly build: Build,
    /** The names of the parameters that the exporter knew; null if the file does not record them. */
    readonly signature: ReadonlySet<string> | null,
  ) {
    const { parameters = [] } = options;
    const telling = parameters.filter((glob) => !glob.startsWith("!") && !/^\*+$/.test(glob));
    this.#named = telling.map((glob) => ({ glob, matches: matcher(glob) }));
  }

  /** Puts the initializers of a graph into its scope. */
  read({ initializers, read }: Structure, scope: Scope): void {
    for (const name of initializers.keys()) this.#names.claim(name);
    const readable = [...initializers].filter(([, { dataType }]) => storedTypeOf(dataType));
    const fresh = readable.filter(([name, proto]) => read.has(name) && !this.#values.has(proto));
    const entries = fresh.map(([name, proto]) => this.#entry(name, proto));
    const ties = this.#tiesOf(entries.filter((entry) => "weight" in entry));
    // Initializers that others repeat come first.
    for (const entry of entries) {
      if ("value" in entry) this.#values.set(entry.proto, entry.value);
      else if (!ties.has(entry.weight)) this.#values.set(entry.weight.proto, this.#parameter(entry));
    }
    for (const entry of entries) {
      if (!("weight" in entry && ties.has(entry.weight))) this.#noteFolding(entry);
      const tie = "weight" in entry ? ties.get(entry.weight) : undefined;
      if ("weight" in entry && tie) this.#values.set(entry.weight.proto, this.#tied(entry, tie));
    }
    for (const [name, proto] of initializers) {
      const value = this.#values.get(proto);
      if (value) scope.set(name, value);
      else if (read.has(name)) scope.bind(name, () => constantValue(decodeInitializer(name, proto, this.precision)));
      else this.#unused.add(name);
    }
  }

  #entry(name: string, proto: TensorProto): Entry {
    const tensor = decodeInitializer(name, proto, this.precision);
    if (!isFloat32(tensor)) return { proto, value: constantValue(tensor, name) };
    const known = readableName(name, this.uses);
    if (!this.#isNamed([name, known])) {
      const found = whyConstant(name, tensor, this.uses, this.inputs, this.signature);
      if (found) return { proto, value: this.#constant(name, tensor, found) };
    }
    const chosen = known !== name || !isGenerated(name, this.uses);
    return { inFile: name, weight: { name: known, inFile: name, chosen, proto, tensor } };
  }

  /** Names that somebody chose are kept; copies that tools stored beside them count as repetitions. */
  #tiesOf(entries: readonly WeightEntry[]): Map<Weight, Tie> {
    if (this.options.tie === false) return new Map();
    const single = entries.filter(({ inFile }) => !isRepeated(inFile, this.uses));
    const own = ({ inFile }: WeightEntry) => !isGenerated(inFile, this.uses);
    const inOrder = [...single.filter(own), ...single.filter((entry) => !own(entry))];
    return new Map(
      inOrder.flatMap(({ weight }) => {
        const tie = this.#ties.of(weight);
        return tie ? [[weight, tie] as const] : [];
      }),
    );
  }

  /** A weight that was only transposed or repeated lost nothing, unless the original is in the file too. */
  #noteFolding(entry: Entry): void {
    const name = "weight" in entry ? entry.inFile : entry.value.name;
    if ("value" in entry && !isFloat(entry.value.dtype)) return;
    const parameters = parametersBehind(name, this.uses, this.signature);
    if (parameters.length === 0) return;
    const moved = "weight" in entry && (entry.weight.name.endsWith(".T") || isRepeated(name, this.uses));
    if (moved && parameters.length === 1 && !this.uses.isStored(parameters[0] ?? "")) return;
    const readable = "weight" in entry ? (this.#weights.get(entry.weight)?.name ?? name) : name;
    this.#folded.push({ name: readable, parameters });
  }

  /** Some exporters keep constants as nodes. */
  #noteFoldedConstant({ opType, output: [name = ""], attribute }: NodeProto): void {
    const stored = opType === "Constant" && storedTypeOf(attribute.find(({ t }) => t)?.t?.dataType ?? 0);
    if (!stored || !isFloat(computedType(stored))) return;
    const parameters = parametersBehind(name, this.uses, this.signature);
    if (parameters.length > 0) this.#folded.push({ name, parameters });
  }

  #haveCommonReader(a: Weight, b: Weight): boolean {
    const readers = new Set(this.uses.readersOf(a.inFile).map(({ node }) => node));
    return this.uses.readersOf(b.inFile).some(({ node }) => readers.has(node));
  }

  /** A weight that repeats another one, which is made already. */
  #tied({ inFile, weight }: WeightEntry, tie: Tie): Value {
    const of = this.#weights.get(tie.of);
    if (!of) throw defect(`the weight "${tie.of.name}" is repeated before it is made`);
    const value = tiedValue(this.build, of, tie, weight);
    const { dims, data } = weight.tensor;
    const tensorOf: StoredTensor["tensorOf"] = (parameters) => {
      const tensor = parameters[of.name];
      return tensor ? tiedTensor(tensor, tie, dims) : { dtype: "float32", dims, data };
    };
    this.stored.push({ name: this.#freeName(inFile), value, role: "parameter", tensorOf });
    const order = dims.join() === tie.of.tensor.dims.join() && isInOrder(tie) ? "" : ", in another order of axes";
    this.#tiedNames.push(`${inFile} repeats ${of.name}${order}`);
    return value;
  }

  /** Graphs inside nodes may use a name again. */
  #freeName(name: string): string {
    const taken = this.tensors.has(name) || this.stored.some((other) => other.name === name);
    return taken ? this.#names.fresh(name) : name;
  }

  #constant(name: string, tensor: Tensor<"float32">, { why, doubtful }: Constancy): Value {
    const value = doubtful ? fileConstant(tensor, name) : constantValue(tensor, name);
    this.stored.push({ name: this.#freeName(name), value, role: "buffer", tensorOf: () => tensor });
    this.constants.set(name, why);
    if (doubtful) this.#doubtful.set(why, [...(this.#doubtful.get(why) ?? []), name]);
    return value;
  }

  #isNamed(names: readonly string[]): boolean {
    const found = this.#named.filter(({ matches }) => names.some(matches));
    for (const { glob } of found) this.#matched.add(glob);
    return found.length > 0;
  }

  /** Call once all are read. Throws NO_PARAMETERS if a glob of the options matches nothing. */
  requireMatches(): void {
    const names = [...this.tensors.keys()];
    const lost = this.#named.find(({ glob, matches }) => !this.#matched.has(glob) && !names.some(matches));
    if (lost) throw matchesNothing(lost.glob, [...names, ...this.constants.keys()]);
  }

  #parameter({ inFile, weight }: WeightEntry): Value {
    const { tensor } = weight;
    if (!isRepeated(inFile, this.uses)) return this.#leaf(inFile, weight, tensor);
    const row = oneRow(tensor);
    const value = this.#leaf(inFile, weight, row);
    return row === tensor ? value : this.build.expand(value, tensor.dims);
  }

  #leaf(inFile: string, weight: Weight, tensor: Tensor<"float32">): Value {
    const taken = weight.name === inFile && !this.tensors.has(inFile) ? inFile : this.#names.fresh(weight.name);
    if (taken !== inFile) this.#renamed.push(`${taken} (${inFile} in the file)`);
    this.tensors.set(taken, tensor);
    const value = leaf(taken, { dtype: tensor.dtype, shape: tensor.dims }, { kind: "parameter" });
    this.leaves.push(value);
    this.#weights.set(weight, value);
    return value;
  }

  /** Notes for the user: constants that might be weights, names made readable, leftovers. */
  notes(nodes: readonly NodeProto[]): string[] {
    for (const node of nodes) this.#noteFoldedConstant(node);
    const folded = foldedNotes(this.#folded, new Set(this.tensors.keys()));
    const names = new Map([...this.#weights].map(([{ inFile }, { name }]) => [inFile, name]));
    const fused = fusedNotes(nodes, names, this.uses);
    if (this.options.strict) refuseFolded([...folded, ...fused.certain]);
    const inFile = new Map([...this.#weights.keys()].map(({ inFile, tensor }) => [inFile, tensor]));
    const merged = mergedNotes(inFile, nodes, this.uses);
    const constants = [...this.#doubtful].map(
      ([why, names]) =>
        `Taken for constants, not weights (${why}): ${listed(names, 4)}; to change that, name them in parameters.`,
    );
    const ties =
      this.#tiedNames.length > 0
        ? [
            `Weights that the file stores twice are tied: ${listed(this.#tiedNames, 4)}; ` +
              "to take them for different ones: tie: false, or --no-tie.",
          ]
        : [];
    const { clones } = this.#ties;
    const apart =
      clones.length > 0
        ? [
            `Some weights are equal but not tied, being the same part of different layers: ` +
              `${listed(
                clones.map(([a, b]) => `${a} and ${b}`),
                4,
              )}.`,
          ]
        : [];
    const renamed = this.#renamed.length > 0 ? [`Names made readable: ${listed(this.#renamed, 4)}.`] : [];
    const unused = [...this.#unused].map((name) => `The initializer "${name}" is not used.`);
    return [
      ...folded,
      ...fused.certain,
      ...fused.likely,
      ...merged,
      ...constants,
      ...ties,
      ...apart,
      ...renamed,
      ...unused,
    ];
  }
}

function isInOrder({ permutation }: Tie): boolean {
  return permutation.every((axis, k) => axis === k);
}

/** The first row if all are equal, else the tensor itself. */
function oneRow(tensor: Tensor<"float32">): Tensor<"float32"> {
  const [count = 1, ...rest] = tensor.dims;
  const size = sizeOf(rest);
  const { dtype, data } = tensor;
  if (count < 2 || data.some((element, k) => !Object.is(element, data[k % size]))) return tensor;
  return { dtype, dims: [1, ...rest], data: data.slice(0, size) };
}
