/**
 * What a saved program says of itself, in its file's metadata under "pergrad.program": JSON, from which it can be run
 * again without being compiled. docs/saved-programs.md describes it for other readers.
 */
import { type Output, whyWhole } from "../compile/joining.js";
import type { ProgramGraph } from "../compile/program-graph.js";
import type { Watch } from "../compile/watch.js";
import { PergradError } from "../errors.js";
import type { Bytes } from "../graph/bytes.js";
import { type DimSpec, isBatch, parseDim, type Shape, showDim } from "../graph/dim.js";
import type { Expected } from "../graph/model.js";
import { leaf, type Value } from "../graph/value.js";
import { type DType, isDType } from "../tensor/tensor.js";
import type { Wants } from "../wants/want.js";

/** The metadata's key. */
export const storedKey = "pergrad.program";

/** The metadata's key for the runtime that needs work-arounds which a file does not hold. */
export const unadaptedKey = "pergrad.unadapted";

const version = 1;

interface StoredType {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly DimSpec[];
}

/** Version 1. */
export interface StoredForm {
  readonly version: typeof version;
  /** The loss's name, for readers of the file. */
  readonly loss: string;
  /** Data that is fed, `target` included, in the dtypes and shapes of the file. */
  readonly inputs: readonly (StoredType & Omit<Expected, "value">)[];
  /** The shape of the output that the loss looks at, samples first. */
  readonly output: readonly DimSpec[];
  /** What the program differentiates with respect to. */
  readonly parameters: readonly string[];
  /** The kinds of wants by their names. */
  readonly wants: Readonly<Record<string, string>>;
  /** Results by the names of the file's outputs, `<want>/<tensor>`, and how those of two batches become one. */
  readonly results: readonly (StoredType & Pick<Output, "joining">)[];
  /** Inputs of wants: tensors of a parameter's shape, and numbers. */
  readonly vectors: readonly (StoredType & { readonly want: string; readonly parameter: string })[];
  readonly scalars: readonly (StoredType & {
    readonly want: string;
    readonly scalar: string;
    readonly initial: number;
  })[];
  /** Which result shows for each sample whether its gradients are finite. */
  readonly watch: Watch | null;
  /** Bytes of a run at its peaks: fixed + perSample * N + perPair * N². */
  readonly memory: readonly Bytes[];
  /** Whether the program was compiled for data that may hold NaN and infinity. Absent where not. */
  readonly notFinite?: boolean;
}

/** What is written down. */
export interface Storable {
  readonly loss: string;
  readonly graph: ProgramGraph;
  /** Those that the file has. */
  readonly outputs: readonly Output[];
  readonly output: Shape;
  readonly expected: ReadonlyMap<string, Expected>;
  readonly parameters: Iterable<string>;
  readonly want: Wants;
  readonly memory: readonly Bytes[];
  readonly notFinite: boolean;
}

const typeOf = ({ name, dtype, shape }: Pick<Value, "name" | "dtype" | "shape">): StoredType => ({
  name,
  dtype,
  shape: specOf(shape),
});

const specOf = (shape: Shape): DimSpec[] => shape.map((dim) => (isBatch(dim) ? (showDim(dim) as DimSpec) : dim));

/** Undefined where a program cannot be run from its file alone: it draws at random for all samples, or has another batch. */
export function storedForm(program: Storable): StoredForm | undefined {
  const { graph, outputs, expected, want } = program;
  const { watch } = graph;
  const apart = outputs.filter(({ joining }) => joining.kind !== "whole");
  if (graph.factors.length > 0 || whyWhole(apart, expected) !== undefined) return undefined;
  const fed = graph.inputs.flatMap(({ name }) => {
    const found = expected.get(name);
    return found ? [[name, found] as const] : [];
  });
  return {
    version,
    loss: program.loss,
    inputs: fed.map(([, { value, ...more }]) => ({ ...typeOf(value), ...more })),
    output: specOf(program.output),
    parameters: [...program.parameters],
    wants: kindsOf(want),
    results: outputs.map(({ name, value, joining }) => ({ ...typeOf(value), name, joining })),
    vectors: graph.vectors.map(({ want, parameter, value }) => ({ ...typeOf(value), want, parameter })),
    scalars: graph.scalars.map(({ want, name, value, initial }) => ({ ...typeOf(value), want, scalar: name, initial })),
    watch: watch && outputs.some(({ name }) => name === watch.name) ? watch : null,
    memory: program.memory,
    ...(program.notFinite ? { notFinite: true } : {}),
  };
}

/** What a program is run from, read from its file. */
export interface ReadForm {
  readonly expected: ReadonlyMap<string, Expected>;
  readonly output: Shape;
  readonly parameters: readonly string[];
  readonly graph: ProgramGraph;
  readonly memory: readonly Bytes[];
  readonly notFinite: boolean;
}

/**
 * The form that a file's metadata hold. Throws INVALID_ARGUMENT where the file is no saved program, is one of another
 * version, or has other wants; INVALID_MODEL where the form is damaged.
 */
export function readForm(text: string | undefined, fileName: string, want: Wants): ReadForm {
  if (text === undefined)
    throw new PergradError(
      "INVALID_ARGUMENT",
      `"${fileName}" is no program that pergrad saved with what it needs to run it; compile the model again and save it.`,
    );
  const form = parsed(text, fileName);
  requireWants(form, fileName, want);
  const input = (type: StoredType) => leafOf(type, fileName);
  const expected = form.inputs.map(({ sampleAxis, atMost, labels, ...type }): [string, Expected] => [
    type.name,
    { value: input(type), sampleAxis, ...(atMost == null ? {} : { atMost }), ...(labels ? { labels } : {}) },
  ]);
  return {
    expected: new Map(expected),
    output: form.output.map(parseDim),
    parameters: form.parameters,
    memory: form.memory,
    notFinite: form.notFinite === true,
    graph: {
      inputs: expected.map(([, { value }]) => value),
      parameters: [],
      factors: [],
      vectors: form.vectors.map(({ want, parameter, ...type }) => ({ want, parameter, value: input(type) })),
      scalars: form.scalars.map(({ want, scalar, initial, ...type }) => ({
        want,
        name: scalar,
        initial,
        value: input(type),
      })),
      outputs: form.results.map(({ joining, ...type }) => ({ name: type.name, joining, value: input(type) })),
      watch: form.watch ?? undefined,
    },
  };
}

function damaged(fileName: string, what: string): PergradError {
  return new PergradError(
    "INVALID_MODEL",
    `What "${fileName}" says of its program is damaged: ${what}; save the program again.`,
  );
}

/** Checks the outline: that lists are lists and names are texts; types are checked as they are used. */
function parsed(text: string, fileName: string): StoredForm {
  let form: Partial<StoredForm>;
  try {
    form = JSON.parse(text);
  } catch {
    throw damaged(fileName, "it is no JSON");
  }
  if (form?.version !== version)
    throw new PergradError(
      "INVALID_ARGUMENT",
      `"${fileName}" holds a program of version ${String(form?.version)}, and this pergrad reads version ${version}; compile the model again and save it.`,
    );
  for (const list of ["inputs", "output", "parameters", "results", "vectors", "scalars", "memory"] as const)
    if (!Array.isArray(form[list])) throw damaged(fileName, `"${list}" is no list`);
  if (typeof form.wants !== "object" || form.wants === null) throw damaged(fileName, `"wants" is no object`);
  return form as StoredForm;
}

function requireWants({ wants }: StoredForm, fileName: string, want: Wants): void {
  const [stored, given] = [entriesOf(wants), entriesOf(kindsOf(want))];
  if (stored === given) return;
  throw new PergradError(
    "INVALID_ARGUMENT",
    `"${fileName}" computes ${stored}, but the wants given are ${given}; give those that it was compiled with.`,
  );
}

const kindsOf = (want: Wants) => Object.fromEntries(Object.entries(want).map(([name, each]) => [name, each.name]));

function entriesOf(kinds: Readonly<Record<string, string>>): string {
  const all = Object.entries(kinds).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{ ${all.map(([name, kind]) => `${name}: ${kind}`).join(", ")} }`;
}

function leafOf({ name, dtype, shape }: StoredType, fileName: string): Value {
  if (typeof name !== "string" || !isDType(String(dtype)) || !Array.isArray(shape))
    throw damaged(fileName, `the type of ${JSON.stringify(name)} is none`);
  return leaf(name, { dtype, shape: shape.map(parseDim) }, { kind: "input" });
}
