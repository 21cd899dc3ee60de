/** Reads an ONNX file into a graph of opset 21. */

import type { GraphProto, ModelProto, NodeProto } from "onnx-buf";
import { SampleAxes } from "../../analysis/sample-axes.js";
import type { BatchOver } from "../../autodiff/vmap.js";
import { PergradError, problemOf, readvised } from "../../errors.js";
import { bindShape, type Dim, factorOf, isBatch, N } from "../../graph/dim.js";
import type { Model } from "../../graph/model.js";
import type { Graph, Value } from "../../graph/value.js";
import { isMissing } from "../../missing.js";
import type { Build } from "../../ops/build.js";
import { leadingOf, nth } from "../../present.js";
import type { Words } from "../../sentence.js";
import { sizeOf } from "../../tensor/tensor.js";
import { invalidModel, opsetOf, parseModel } from "../proto.js";
import { PrecisionNotes } from "../tensors.js";
import { type BatchAxes, batchAxes } from "./batch/batch-axes.js";
import { FixedInputs, type FixedValue } from "./batch/fixed-inputs.js";
import { adviceOnBatch, checkDimensions } from "./batch/open-axes.js";
import { Decoder } from "./decoder.js";
import { decodeInput, type InputOptions } from "./inputs.js";
import { mlDomain, usesMl } from "./ml/domain.js";
import type { Adapter, Rebatcher } from "./other-forms.js";
import { parametersInSignature } from "./parameters/folded.js";
import { type InitializerOptions, Initializers } from "./parameters/initializers.js";
import { constantsAsInitializers } from "./parameters/stored-as-constants.js";
import { Scope } from "./scope.js";
import {
  forAllSamples,
  indexArithmetic,
  inlineFunctions,
  liftWeights,
  likelyBatches,
  specialDecoder,
} from "./seldom.js";
import { nodesFor, readStructure, type Structure } from "./structure.js";
import { refuseQuantised, refuseUnknown } from "./unknown.js";
import { checkOpset, newestOpset } from "./upgrade.js";
import { Uses } from "./uses.js";

export interface DecodeOptions extends InputOptions, InitializerOptions {
  /** The sample axis of an input, if it is not the likely one, or null if all samples share the input. */
  readonly sampleAxes?: Readonly<Record<string, number | null>>;
  /** Inputs to turn into constants: the same in every run, and for all samples. */
  readonly fix?: Readonly<Record<string, FixedValue>>;
  /** For messages. */
  readonly fileName: string;
  readonly build: Build;
  /** Rebuilds values with one more leading axis. Without it, loops over the samples are refused. */
  readonly batchOver?: BatchOver;
  /** The outputs that are required. Default: all; outputs after the first that pergrad cannot compute are left out. */
  readonly outputs?: readonly string[];
  /** Makes a rebatcher for a file that fixes its batch to `size`; `axes` are the sample axes of its inputs. */
  readonly rebatcher?: (size: number, axes: ReadonlyMap<Value, number>, choices: readonly number[]) => Rebatcher;
  /** `axes` are the sample axes of the inputs, `fixed` the batch size of a file that fixes it. */
  readonly adapter?: (axes: ReadonlyMap<Value, number>, fixed: number | undefined) => Adapter;
}

/**
 * The axis that holds the samples becomes the batch N, whether or not the file fixes its size.
 * @throws PergradError NOT_ONNX, INVALID_MODEL, UNSUPPORTED_OP, UNKNOWN_SHAPE, and what the shape rules throw.
 */
export function decodeModel(source: Uint8Array | ModelProto, options: DecodeOptions): Model {
  const { fileName, build } = options;
  const model = source instanceof Uint8Array ? parseModel(source, fileName) : source;
  const opset = defaultOpset(model);
  checkOpset(opset, fileName);
  if (!model.graph) throw invalidModel(`"${fileName}" holds no graph`);
  const known = (domain: string, op: string) => build.lookup(domain, op) !== undefined;
  const plain = { graph: model.graph, opsets: new Map<NodeProto, number>() };
  const inlined = constantsAsInitializers(
    model.functions.length > 0 ? inlineFunctions(model, model.graph, known) : plain,
  );
  const { graph, opsets, notes } = usesMl(inlined.graph) ? liftWeights(inlined) : { ...inlined, notes: [] };
  const structure = readStructure(graph, fileName);
  return new File(structure, graph, (node) => opsets.get(node) ?? opset, options, notes).decode();
}

/**
 * A file of classic machine learning may have no operators of the default domain, and then need not state its version.
 */
function defaultOpset({ opsetImport }: ModelProto): number {
  const opset = opsetOf(opsetImport);
  return opset === 0 && opsetImport.some(({ domain }) => domain === mlDomain) ? newestOpset : opset;
}

/** One reading of the file's nodes. */
interface Reading {
  readonly inputs: readonly Value[];
  readonly scope: Scope;
  readonly rebatcher: Rebatcher | undefined;
}

interface Outputs {
  readonly outputs: Graph["outputs"];
  /** Name and reason. */
  readonly leftOut: readonly (readonly [string, string])[];
}

type Found = Pick<Reading, "inputs"> & Outputs & { readonly notes: readonly string[] };

/** The most ways of converting a file to other batch sizes that are tried. */
const maxAttempts = 32;

/** The outputs of each node in the file's own batch. */
type ShapesAsWritten = Map<NodeProto, readonly (readonly number[])[] | undefined>;

/** A reading in a batch of `size`; complete if it reached the required outputs. */
interface AsWritten {
  readonly size: number;
  readonly shapes: ShapesAsWritten;
  readonly complete: boolean;
  /** Elements of the required outputs, if the reading is complete. */
  readonly elements: readonly number[];
}

class File {
  readonly #required: readonly string[];
  readonly #batch: BatchAxes;
  readonly #fixed: FixedInputs;
  readonly #precision = new PrecisionNotes();
  readonly #initializers: Initializers;

  constructor(
    readonly structure: Structure,
    graph: GraphProto,
    readonly opsetOf: (node: NodeProto) => number,
    readonly options: DecodeOptions,
    readonly notes: readonly string[],
  ) {
    checkNames(structure, options);
    this.#required = options.outputs ?? structure.outputs.slice(0, 1);
    this.#refuse(nodesFor(this.#required, structure));
    this.#fixed = new FixedInputs(structure.inputs, options);
    checkDimensions(structure.inputs, options.dimensions ?? {}, options.fileName);
    this.#batch = batchAxes(this.#fixed.others, options.sampleAxes);
    const names = new Set(structure.inputs.map(({ name }) => name));
    this.#initializers = new Initializers(
      new Uses(structure.nodes, graph.valueInfo, structure.initializers.values()),
      names,
      options,
      this.#precision,
      options.build,
      parametersInSignature(graph),
    );
  }

  decode(): Model {
    const constants = new Scope();
    this.#initializers.read(this.structure, constants);
    const { inputs, outputs, leftOut, notes } = this.#readForAnyBatch(constants);
    this.#initializers.requireMatches();
    return {
      graph: { inputs, parameters: this.#initializers.leaves, outputs },
      parameters: Object.fromEntries(this.#initializers.tensors),
      sampleAxes: Object.fromEntries(this.#batch.axes),
      leftOut: Object.fromEntries(leftOut),
      constants: Object.fromEntries(this.#initializers.constants),
      stored: this.#initializers.stored,
      notes: [
        ...this.notes,
        ...this.#batch.notes,
        ...notes,
        ...this.#precision.list(),
        ...this.#initializers.notes(this.structure.nodes),
        ...leftOut.map(([name, reason]) => `The output "${name}" is left out: ${reason}`),
      ],
    };
  }

  #refuse(nodes: readonly NodeProto[]): void {
    const { fileName, build } = this.options;
    refuseQuantised(nodes, fileName);
    refuseUnknown(nodes, { fileName, build, opsetOf: this.opsetOf });
  }

  #readForAnyBatch(constants: Scope): Found {
    const { fixed } = this.#batch;
    if (fixed !== undefined) {
      try {
        return { ...this.#readFor(constants, fixed, this.#readAsWritten(constants, fixed)), notes: [] };
      } catch (error) {
        const apart = fixed === 1 ? this.#readEachApart(constants, error) : null;
        if (apart) return apart;
        throw explained(error, adviceOnBatch(this.#fixed.others, this.#batch, this.options.sampleAxes));
      }
    }
    let open: Found | undefined;
    try {
      const reading = this.#read(constants, N, {});
      open = { inputs: reading.inputs, ...this.#outputs(reading.scope), notes: [] };
      if (this.options.rebatcher) this.#requireApart(open);
      return open;
    } catch (error) {
      if (isMissing(error)) throw error;
      const found = this.#readAsBaked(constants, error);
      if (found) return found;
      // Interacting samples are reported when an output is used: other outputs may not need it.
      if (open) return open;
      throw error;
    }
  }

  /** A file for one sample may remove the batch axis: everything after that is that sample's alone. */
  #readEachApart(constants: Scope, error: unknown): Found | null {
    const { batchOver, build } = this.options;
    if (!batchOver || !(error instanceof PergradError) || error.code !== "SAMPLES_INTERACT") return null;
    const reading = this.#read(constants, 1, {});
    const { outputs, leftOut } = this.#outputs(reading.scope);
    const values = outputs.map(({ value }) => value);
    const one = { inputs: reading.inputs, outputs: values };
    const all = forAllSamples(build, batchOver, one, this.#axesOf(reading.inputs));
    if (!all) return null;
    const named = outputs.map(({ name }, k) => ({ name, value: nth(all.outputs, k) }));
    const note =
      "The file is made for one sample, and removes the batch axis: it is computed for each sample separately.";
    return { inputs: all.inputs, outputs: named, leftOut, notes: [note] };
  }

  /** Some files declare their batch open, but contain numbers that were computed for one batch size. */
  #readAsBaked(constants: Scope, error: unknown): Found | null {
    if (!isOfShapes(error) || !this.options.rebatcher) return null;
    if (error.code === "SAMPLES_INTERACT" && this.#growsWithBatch(constants)) return null;
    for (const size of likelyBatches(this.structure, this.#batch, this.options.dimensions)) {
      const written = this.#readAsWritten(constants, size);
      if (!written?.complete) continue;
      try {
        const found = this.#readFor(constants, size, written);
        const note =
          `The file leaves its batch open, but holds numbers that were made for a batch of ${size} ` +
          `(${problemOf(error)}), so it is read as a file made for ${size}.`;
        return { ...found, notes: [note] };
      } catch (again) {
        if (!(again instanceof PergradError)) throw again;
      }
    }
    return null;
  }

  /** If outputs grow with the number of samples, the file was not made for one number: its samples really meet. */
  #growsWithBatch(constants: Scope): boolean {
    const [two, three] = leadingOf(
      [2, 3].map((size) => this.#readAsWritten(constants, size)),
      2,
    );
    return two.complete && three.complete && two.elements.every((count, k) => count < (three.elements[k] ?? 0));
  }

  /**
   * The shapes in the batch that the file fixes: its constants were made for these. If the file contradicts itself
   * there, the second reading reports it better.
   */
  #readAsWritten(constants: Scope, size: number): AsWritten | undefined {
    if (!this.options.rebatcher) return undefined;
    const shapes: ShapesAsWritten = new Map();
    try {
      const { scope } = this.#read(constants, size, { shapes });
      const elements = this.#required.map((name) => sizeOf(scope.get(name).shape.map(factorOf)));
      return { size, shapes, complete: true, elements };
    } catch (error) {
      if (!(error instanceof PergradError) || isMissing(error)) throw error;
      return { size, shapes, complete: false, elements: [] };
    }
  }

  /** Tries until one succeeds, or no choice is left; the first failure is the most informative. */
  #readFor(constants: Scope, size: number, written: AsWritten | undefined): Pick<Reading, "inputs"> & Outputs {
    let failure: unknown;
    let choices: readonly number[] | null = [];
    for (let attempt = 0; choices && attempt < maxAttempts; attempt++) {
      const { inputs, scope, rebatcher } = this.#read(constants, N, { written, choices });
      try {
        const found = this.#outputs(scope);
        if (rebatcher) this.#requireApart({ inputs, ...found });
        return { inputs, ...found };
      } catch (error) {
        if (isMissing(error)) throw error;
        failure ??= error;
        choices = rebatcher?.next() ?? null;
      }
    }
    throw failure ?? invalidModel(`A batch of ${size} leaves no reading`);
  }

  /** Throws SAMPLES_INTERACT if the samples meet on the way to a required output. */
  #requireApart({ inputs, outputs }: Pick<Reading, "inputs"> & Outputs): void {
    const axes = new SampleAxes(this.#axesOf(inputs));
    for (const { name, value } of outputs) if (this.#required.includes(name)) axes.of(value);
  }

  #read(
    constants: Scope,
    size: Dim,
    {
      shapes,
      written,
      choices = [],
    }: {
      readonly shapes?: ShapesAsWritten;
      readonly written?: AsWritten | undefined;
      readonly choices?: readonly number[];
    },
  ): Reading {
    const { structure, options } = this;
    const scope = new Scope(constants);
    const inputs = this.#fixed.others.map((proto) => {
      const axis = this.#batch.axes.get(proto.name) ?? null;
      return decodeInput(proto, { axis, size }, options, this.#precision);
    });
    for (const input of inputs) scope.set(input.name, input);
    for (const [name, value] of this.#fixed.values(size, this.#precision)) scope.set(name, value);
    const axes = this.#axesOf(inputs);
    const rebatcher = written ? options.rebatcher?.(written.size, axes, choices) : undefined;
    const adapter = isBatch(size) ? options.adapter?.(axes, this.#batch.fixed) : undefined;
    const decoder = new Decoder({
      special: specialDecoder,
      indices: () => indexArithmetic(options.build, rebatcher && written ? written.size : undefined),
      fileName: options.fileName,
      build: options.build,
      opsetOf: this.opsetOf,
      initializers: this.#initializers,
      precision: this.#precision,
      inputs: new Set(inputs),
      refuse: (nodes) => this.#refuse(nodes),
      adapt: (node, source) => rebatcher?.adapt(node, written?.shapes.get(source)) ?? node,
      replace: (node) => adapter?.replace(node) ?? null,
      shapesOnly: shapes !== undefined,
      made: (source, outputs) => shapes && record(shapes, source, outputs),
      ...(rebatcher && written ? { fixed: written.size } : {}),
      ...(options.batchOver ? { batchOver: options.batchOver } : {}),
    });
    decoder.decodeNodes(structure, scope);
    return { inputs, scope, rebatcher };
  }

  #axesOf(inputs: readonly Value[]): ReadonlyMap<Value, number> {
    const axes = inputs.flatMap((input) => {
      const axis = this.#batch.axes.get(input.name) ?? null;
      return axis === null ? [] : [[input, axis] as const];
    });
    return new Map(axes);
  }

  #outputs(scope: Scope): Outputs {
    const outputs: { readonly name: string; readonly value: Value }[] = [];
    const leftOut: [string, string][] = [];
    for (const name of this.options.outputs ?? this.structure.outputs) {
      try {
        outputs.push({ name, value: scope.get(name) });
      } catch (error) {
        if (!(error instanceof PergradError) || this.#required.includes(name)) throw error;
        leftOut.push([name, error.message]);
      }
    }
    return { outputs, leftOut };
  }
}

function isOfShapes(error: unknown): error is PergradError {
  return error instanceof PergradError && ["SHAPE_MISMATCH", "SAMPLES_INTERACT", "UNKNOWN_SHAPE"].includes(error.code);
}

/** An error that may be due to the file's fixed batch says so. */
function explained(error: unknown, advice: Words): unknown {
  if (!isOfShapes(error) || error.names("fix")) return error;
  return readvised(error, advice);
}

/** For a node that is made several times, in a loop, only shapes that stay the same are known. */
function record(shapes: ShapesAsWritten, source: NodeProto, outputs: readonly Value[]): void {
  const now = outputs.map(({ shape }) => bindShape(shape, 0));
  const before = shapes.has(source) ? shapes.get(source) : now;
  shapes.set(source, JSON.stringify(before) === JSON.stringify(now) ? now : undefined);
}

/** Sample axes may be given for inputs and outputs. */
function checkNames(
  { inputs, outputs }: Structure,
  { fileName, sampleAxes = {}, outputs: wanted = [] }: DecodeOptions,
): void {
  const missing = wanted.find((name) => !outputs.includes(name));
  if (missing !== undefined) {
    throw new PergradError(
      "MISSING_TENSOR",
      `"${fileName}" has no output "${missing}"; its outputs are ${outputs.join(", ")}.`,
    );
  }
  const names = [...inputs.map(({ name }) => name), ...outputs];
  const unknown = Object.keys(sampleAxes).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  throw new PergradError(
    "INVALID_ARGUMENT",
    `A sample axis is given for "${unknown}", but the inputs and outputs of "${fileName}" are ${names.join(", ")}; give it for one of these.`,
  );
}
