/**
 * Writes the linear datamodeling score of each method on a yardstick to docs/attribution.md: `npm run docs:lds -- FOLDER [NAME ...]`.
 * FOLDER holds model.onnx, data.safetensors (x, target, x_test, target_test), truth.safetensors (masks, losses), models/*
 * and, for tracIn, checkpoints/* with their learning rates in meta.json ("checkpoints").
 * If names are given, only these rows are measured again; the others stay as docs/attribution-lds.json has them.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { attribution, loadModel, type Model, type Tensor, withParameters } from "../src/index.js";
import { readTensors } from "../src/io/files.js";
import { putBetween } from "./marked.js";

interface Row {
  readonly name: string;
  readonly models: number;
  readonly score: number;
  readonly error: number;
  readonly damping: number | null;
}

const many = 5;
const overCheckpoints = "tracIn, over checkpoints";
const { gradCos, gradDot, influence, loGra, relatIF, tracIn, trak } = attribution;

const [folder = "", ...names] = process.argv.slice(2);

/** Sorted by file name, which is the order of the training. */
const learningRates = checkpointRates();

/** Each method with its number of models. */
const methods: Readonly<Record<string, readonly [method: attribution.Method, ...models: number[]]>> = {
  gradDot: [gradDot(), 1],
  gradCos: [gradCos(), 1],
  [overCheckpoints]: [tracIn({ learningRates: learningRates.map(([, rate]) => rate) }), learningRates.length],
  "influence, diagonal": [influence({ inverse: "diagonal" }), 1],
  "influence, dataInf": [influence({ inverse: "dataInf" }), 1],
  "influence, lissa of 100 terms": [influence({ inverse: "lissa", terms: 100 }), 1],
  "influence, cg": [influence({ inverse: "cg" }), 1],
  "influence, arnoldi": [influence({ inverse: "arnoldi" }), 1],
  "influence, kfac": [influence({ inverse: "kfac" }), 1, many],
  "relatIF, ekfac": [relatIF({ inverse: "ekfac" }), 1],
  "trak, 512 dims, damping 0": [trak({ dims: 512, damping: 0 }), 1, many],
  "trak, 512 dims": [trak({ dims: 512 }), 1, many],
  "loGra, 512 dims": [loGra({ dims: 512 }), 1, many],
  "influence, gram of the fisher": [influence({ inverse: "gram" }), 1, many],
  "influence, ekfac": [influence({ inverse: "ekfac" }), 1, many],
  "influence, gram of the ggn": [influence({ inverse: "gram", of: "ggn" }), 1, many],
};

const kept = join(import.meta.dirname, "../../docs/attribution-lds.json");
const page = join(import.meta.dirname, "../../docs/attribution.md");

function checkpointRates(): readonly (readonly [name: string, rate: number])[] {
  const file = join(folder, "meta.json");
  const meta: { readonly checkpoints?: Readonly<Record<string, number>> } = existsSync(file)
    ? JSON.parse(readFileSync(file, "utf8"))
    : {};
  return Object.entries(meta.checkpoints ?? {}).sort(([a], [b]) => Number(a) - Number(b));
}

/** The files with the weights from which a row is computed. */
function filesOf(name: string): string[] {
  if (name === overCheckpoints)
    return learningRates.map(([epoch]) => join(folder, "checkpoints", `${epoch}.safetensors`));
  const models = join(folder, "models");
  return readdirSync(models)
    .sort()
    .map((file) => join(models, file));
}

async function measured(model: Model, name: string, count: number, method: attribution.Method): Promise<Row> {
  const data = await readTensors(join(folder, "data.safetensors"));
  const truth = await readTensors(join(folder, "truth.safetensors"));
  const tensor = (tensors: ReadonlyMap<string, Tensor>, key: string): Tensor => {
    const found = tensors.get(key);
    if (!found) throw new Error(`The yardstick lacks "${key}".`);
    return found;
  };
  const models: Model[] = [];
  for (const file of filesOf(name).slice(0, count)) {
    const weights = [...(await readTensors(file))].flatMap(([key, { dims, data: own }]) =>
      own instanceof Float32Array ? [[key, { dtype: "float32" as const, dims, data: own }] as const] : [],
    );
    models.push(withParameters(model, Object.fromEntries(weights)));
  }
  const train = { x: tensor(data, "x"), target: tensor(data, "target") };
  const queries = { x: tensor(data, "x_test"), target: tensor(data, "target_test") };
  const { scores, dampings } = await attribution.scores(models, train, queries, { loss: "cross_entropy", method });
  const { score, error } = attribution.linearDatamodelingScore(scores, tensor(truth, "masks"), tensor(truth, "losses"));
  return { name, models: count, score, error, damping: dampings?.[0] ?? null };
}

function table(rows: readonly Row[]): string {
  const lines = rows.map(
    ({ name, models, score, damping }) =>
      `| ${name} | ${models} | ${score.toFixed(3)} | ${damping === null ? "" : Number(damping.toPrecision(2))} |`,
  );
  return ["| method | models | score | damping |", "|---|---|---|---|", ...lines].join("\n");
}

const rows: Row[] = existsSync(kept) ? JSON.parse(readFileSync(kept, "utf8")) : [];
const model = await loadModel(join(folder, "model.onnx"));
const write = () => {
  const order = Object.keys(methods);
  rows.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name) || a.models - b.models);
  writeFileSync(kept, `${JSON.stringify(rows, null, 2)}\n`);
  putBetween(page, "lds", table(rows));
};
for (const [name, [method, ...counts]] of Object.entries(methods)) {
  if (names.length > 0 && !names.includes(name)) continue;
  for (const count of counts.filter((each) => each > 0)) {
    const row = await measured(model, name, count, method);
    const at = rows.findIndex((each) => each.name === name && each.models === count);
    rows.splice(at < 0 ? rows.length : at, at < 0 ? 0 : 1, row);
    console.log(`${name}, ${count}: ${row.score.toFixed(4)} +- ${row.error.toFixed(4)}, damping ${row.damping}`);
    write();
  }
}
