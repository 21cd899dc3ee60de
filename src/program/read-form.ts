/** Reads the form in which a saved program describes itself (`stored-form.ts` writes it). */
import { whyWhole } from "../compile/joining.js";
import type { ProgramGraph } from "../compile/program-graph.js";
import { PergradError } from "../errors.js";
import type { Bytes } from "../graph/bytes.js";
import { parseDim, type Shape } from "../graph/dim.js";
import type { Expected } from "../graph/model.js";
import { leaf, type Value } from "../graph/value.js";
import type { Wants } from "../wants/wanted.js";
import { faultOf } from "./stored-checks.js";
import { type StoredForm, type StoredInput, type StoredValue, storedVersion } from "./stored-form.js";

/** What is needed to run a program, read from its file. */
export interface ReadForm {
  readonly expected: ReadonlyMap<string, Expected>;
  readonly output: Shape;
  readonly parameters: readonly string[];
  readonly graph: ProgramGraph;
  readonly memory: readonly Bytes[];
  readonly notFinite: boolean;
}

/**
 * Reads the form in a file's metadata. Throws INVALID_ARGUMENT if the file is no saved program, has another version or other
 * wants; INVALID_MODEL if the form is damaged.
 */
export function readForm(text: string | undefined, fileName: string, want: Wants): ReadForm {
  if (text === undefined)
    throw new PergradError(
      "INVALID_ARGUMENT",
      `"${fileName}" is not a program that pergrad saved with what it needs to run it; compile the model again and save it.`,
    );
  const form = parsed(text, fileName);
  requireWants(form, fileName, want);
  const { inputs, unread = [] } = form;
  const read = new Map(inputs.map((each) => [each.name, expectedOf(each)]));
  const expected = new Map([
    ...read,
    ...unread.map((each) => [each.name, { ...expectedOf(each), optional: true }] as const),
  ]);
  const found = {
    expected,
    output: form.output.map(parseDim),
    parameters: form.parameters.filter(({ differentiated }) => differentiated).map(({ name }) => name),
    memory: form.memory,
    notFinite: form.notFinite === true,
    graph: {
      inputs: [...read.values()].map(({ value }) => value),
      parameters: form.weights === "inputs" ? form.parameters.map((type) => leafOf(type, "parameter")) : [],
      factors: [],
      vectors: form.vectors.map(({ want, parameter, ...type }) => ({ want, parameter, value: leafOf(type) })),
      scalars: form.scalars.map(({ want, scalar, initial, ...type }) => ({
        want,
        name: scalar,
        initial,
        value: leafOf(type),
      })),
      outputs: form.results.map(({ want, joining, ...type }) => ({
        name: type.name,
        want: want ?? "",
        joining,
        value: leafOf(type),
      })),
      watch: form.watch ?? undefined,
      // A file does not say.
      summedTerms: 0,
    },
  };
  requireOwn(form, found, fileName);
  return found;
}

function expectedOf({ sampleAxis, lengths, labels, rows, ...type }: StoredInput): Expected {
  return {
    value: leafOf(type),
    sampleAxis,
    ...(lengths ? { atMost: lengths.atMost ?? Number.POSITIVE_INFINITY } : {}),
    ...(labels ? { labels } : {}),
    ...(rows ? { rows } : {}),
  };
}

/**
 * Throws INVALID_ARGUMENT for programs that cannot be opened. The file of a program with another batch lacks that batch; and what
 * is read does not say whether a program draws random numbers once for all samples.
 */
function requireOwn({ others, whole }: StoredForm, { graph, expected }: ReadForm, fileName: string): void {
  const [other] = others;
  const problem = other
    ? `"${other.want}" uses another batch, which the file does not hold`
    : whole !== null && whyWhole(graph.outputs, expected) === undefined
      ? whole
      : undefined;
  if (problem === undefined) return;
  throw new PergradError("INVALID_ARGUMENT", `"${fileName}" cannot be opened: ${problem}; compile the model again.`);
}

function damaged(fileName: string, what: string): PergradError {
  return new PergradError(
    "INVALID_MODEL",
    `The description of the program in "${fileName}" is damaged: ${what}; save the program again.`,
  );
}

/** Throws INVALID_ARGUMENT, INVALID_MODEL. */
function parsed(text: string, fileName: string): StoredForm {
  let form: Partial<StoredForm>;
  try {
    form = JSON.parse(text);
  } catch {
    throw damaged(fileName, "it is no JSON");
  }
  if (form?.version !== storedVersion)
    throw new PergradError(
      "INVALID_ARGUMENT",
      `"${fileName}" holds a program of version ${String(form?.version)}, and this pergrad reads version ${storedVersion}; compile the model again and save it.`,
    );
  const fault = faultOf(form);
  if (fault !== undefined) throw damaged(fileName, fault);
  return form as StoredForm;
}

function requireWants({ wants }: StoredForm, fileName: string, want: Wants): void {
  const stored = entriesOf(Object.fromEntries(Object.entries(wants).map(([name, { kind }]) => [name, kind])));
  const given = entriesOf(Object.fromEntries(Object.entries(want).map(([name, each]) => [name, each.name])));
  if (stored === given) return;
  throw new PergradError(
    "INVALID_ARGUMENT",
    `"${fileName}" computes ${stored}, but the given wants are ${given}; give those with which it was compiled.`,
  );
}

function entriesOf(kinds: Readonly<Record<string, string>>): string {
  const all = Object.entries(kinds).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{ ${all.map(([name, kind]) => `${name}: ${kind}`).join(", ")} }`;
}

function leafOf({ name, dtype, shape }: StoredValue, kind: "input" | "parameter" = "input"): Value {
  return leaf(name, { dtype, shape: shape.map(parseDim) }, { kind });
}
