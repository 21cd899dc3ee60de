/** The manifest of an index on disk, and its checks. */
import { createHash, type Hash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { PergradError } from "../../errors.js";
import { isBody } from "../../graph/body.js";
import type { Model } from "../../graph/model.js";
import type { Value } from "../../graph/value.js";
import { nodesBefore } from "../../graph/walk.js";
import { printGraph } from "../../inspect/print-graph.js";
import { writeFileSafely } from "../../io/atomic.js";
import { unreadable } from "../../io/failure.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { ProjectedBy } from "../../wants/projection.js";

/** This number changes when rows, or projections of queries, are no longer the same. */
export const format = "pergrad attribution index 3";

/** The format of indexes that are projected by signs, which their manifests do not state. */
const formatOfSigns = "pergrad attribution index 2";

/** Everything that must be the same when an index is continued or queried. */
export interface Manifest {
  readonly format: typeof format | typeof formatOfSigns;
  /** Digests of the models: graph and parameters. */
  readonly models: readonly string[];
  readonly loss: string;
  /**
   * Digest of the graphs from inputs to the scalars whose gradients are projected: of the loss's options, of the output
   * that it reads, and of constants. Indexes of older versions have none.
   */
  readonly scalars?: string;
  /** Names of the parameters that take part. */
  readonly parameters: readonly string[];
  readonly method: string;
  readonly settings: Readonly<Record<string, unknown>>;
  /** The dimensions of each sample's projected gradient, for each model. */
  readonly dims: number;
  readonly seed: number;
  /** How gradients are projected. */
  readonly by: ProjectedBy;
  readonly storage: "float16" | "float32";
  /** The number of samples in each shard but the last. */
  readonly shardSize: number;
  /** Whether samples have names, which are in the shards. */
  readonly ids: boolean;
  /** The versions of pergrad and of the runtime with which the index was begun, for the record. */
  readonly versions: Readonly<Record<string, string>>;
}

const file = "manifest.json";
/** The most bytes of a manifest. */
const mostBytes = 2 ** 24;

export function digestOf(model: Model): string {
  const hash = createHash("sha256");
  hash.update(printGraph({ ...model.graph }));
  for (const name of Object.keys(model.parameters).sort()) addTensor(hash, name, model.parameters[name]);
  return hash.digest("hex");
}

/** Digest of the graphs that compute these values, with all their constants, of which a printed graph shows the small ones. */
export function digestOfGraphs({ graph: { inputs, parameters } }: Model, values: readonly Value[]): string {
  const hash = createHash("sha256");
  const outputs = values.map((value, k) => ({ name: `${k}`, value }));
  hash.update(printGraph({ inputs, parameters, outputs }));
  addConstants(hash, values);
  return hash.digest("hex");
}

function addConstants(hash: Hash, outputs: readonly Value[]): void {
  for (const { inputs, attributes } of nodesBefore(outputs)) {
    for (const input of inputs) if (input?.source.kind === "constant") addTensor(hash, "", input.source.tensor);
    for (const [name, attribute] of Object.entries(attributes)) {
      if (isBody(attribute)) addConstants(hash, attribute.outputs);
      else if (typeof attribute === "object" && "dtype" in attribute) addTensor(hash, name, attribute);
    }
  }
}

function addTensor(hash: Hash, name: string, tensor: Tensor | undefined): void {
  if (!tensor) return;
  const { dtype, dims, data } = tensor;
  hash.update(JSON.stringify([name, dtype, dims]));
  hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

export async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  await writeFileSafely(join(folder, file), Buffer.from(`${JSON.stringify(manifest, null, 1)}\n`));
}

/** Null if there is none. Throws FILE_UNREADABLE. */
export async function readManifest(folder: string): Promise<Manifest | null> {
  const path = join(folder, file);
  const found = await stat(path).catch(() => null);
  if (!found) return null;
  if (!found.isFile() || found.size > mostBytes) throw broken(path, "it is no file of a manifest's size");
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw unreadable(path, error);
  });
  return checked(path, text);
}

function checked(path: string, text: string): Manifest {
  const value = parsed(path, text);
  const texts = (list: unknown): list is string[] =>
    Array.isArray(list) && list.every((each) => typeof each === "string");
  const count = (number: unknown, most: number): number is number =>
    Number.isSafeInteger(number) && Number(number) >= 0 && Number(number) <= most;
  const { models, loss, scalars, parameters, method, settings, dims, seed, storage, shardSize, ids, versions } = value;
  if (value.format !== format && value.format !== formatOfSigns)
    throw broken(path, "it is no manifest that this pergrad knows");
  if (!texts(models) || models.length === 0 || models.length > 4096) throw broken(path, "its models are no digests");
  if (!texts(parameters)) throw broken(path, "its parameters are no names");
  if (typeof loss !== "string" || typeof method !== "string") throw broken(path, "its loss or method is no name");
  if (scalars !== undefined && typeof scalars !== "string") throw broken(path, "its scalars are no digest");
  if (!isRecord(settings)) throw broken(path, "its settings are no record");
  if (!count(dims, 2 ** 24) || dims === 0) throw broken(path, "its dims are no number of numbers");
  if (!count(seed, 2 ** 32 - 1)) throw broken(path, "its seed is no whole number");
  if (!count(shardSize, 2 ** 31) || shardSize === 0) throw broken(path, "its shardSize is no number of samples");
  if (storage !== "float16" && storage !== "float32") throw broken(path, "its storage is neither float16 nor float32");
  const by = value.format === formatOfSigns ? "signs" : value.by;
  if (by !== "shifts" && by !== "signs" && by !== "order")
    throw broken(path, "its gradients are projected by neither shifts nor signs nor order");
  if (typeof ids !== "boolean") throw broken(path, "its ids are neither true nor false");
  if (!isRecord(versions) || !texts(Object.values(versions))) throw broken(path, "its versions are no record of texts");
  return {
    format: value.format,
    models,
    loss,
    ...(scalars === undefined ? {} : { scalars }),
    parameters,
    method,
    settings: { ...settings },
    dims,
    seed,
    by,
    storage,
    shardSize,
    ids,
    versions: Object.fromEntries(Object.entries(versions).map(([name, text]) => [name, String(text)])),
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parsed(path: string, text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (isRecord(value)) return value;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw broken(path, "it is no JSON record");
}

function broken(path: string, problem: string): PergradError {
  return new PergradError("FILE_UNREADABLE", `Cannot read the manifest "${path}": ${problem}.`);
}

const keys: readonly (keyof Manifest)[] = [
  "models",
  "loss",
  "scalars",
  "parameters",
  "method",
  "settings",
  "dims",
  "seed",
  "by",
  "storage",
  "shardSize",
  "ids",
];

/** Refuses an index that was made from something else. Throws INVALID_ARGUMENT. */
export function requireSame(folder: string, before: Manifest, now: Manifest): void {
  const what: Readonly<Record<string, string>> = {
    models: "another model",
    scalars: `other options of the loss ${now.loss}, or of the output that it reads${byOther(before, now)}`,
    parameters: "another selection of parameters",
    settings: "other settings",
    dims: "another number of dims",
    ids: "other ids",
  };
  for (const key of keys) {
    const [was, is] = [before, now].map((each) => JSON.stringify(sorted(each[key])));
    // Nothing is known about the scalars of an older index.
    if (was === is || (key === "scalars" && was === undefined)) continue;
    const shown = ["models", "parameters", "scalars"].includes(key) ? "" : `: ${was}, not ${is}`;
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The index in "${folder}" was made with ${what[key] ?? `another ${key}`}${shown}; give the same again, or another folder.`,
    );
  }
}

/** The same loss may be stated in other operators by another version. */
function byOther({ versions: { pergrad: was = "" } }: Manifest, { versions: { pergrad: is = "" } }: Manifest): string {
  return was === is ? "" : ` (or by pergrad ${was}, which stated them otherwise than pergrad ${is})`;
}

function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
