/**
 * Compares scores with the measured damping and with fixed dampings, on a yardstick made by `npm run yardstick`, and
 * writes the table in docs/attribution.md: `npm run docs:dampings -- NAME FOLDER`. Scores with fixed dampings that
 * docs/attribution-dampings.json already has are not computed again.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { attribution, loadModel, type Tensor } from "../src/index.js";
import { readTensors } from "../src/io/files.js";
import { putBetween } from "./marked.js";

const { influence } = attribution;
const fixed = [1e-8, 1e-4, 1e-3, 1e-2, 1e-1] as const;
const methods: Readonly<Record<string, (damping: { readonly damping?: number }) => attribution.Method>> = {
  "gram of the fisher": (damping) => influence({ inverse: "gram", ...damping }),
  "gram of the ggn": (damping) => influence({ inverse: "gram", of: "ggn", ...damping }),
  ekfac: (damping) => influence({ inverse: "ekfac", ...damping }),
};

interface Row {
  readonly yardstick: string;
  readonly method: string;
  readonly measured: number;
  readonly damping: number;
  /** By fixed damping, as a text. */
  readonly fixed: Readonly<Record<string, number>>;
}

const [yardstick = "", folder = ""] = process.argv.slice(2);
const docs = join(import.meta.dirname, "../../docs");
const [kept, page] = [join(docs, "attribution-dampings.json"), join(docs, "attribution.md")];
const rows: Row[] = existsSync(kept) ? JSON.parse(readFileSync(kept, "utf8")) : [];

const data = await readTensors(join(folder, "data.safetensors"));
const truth = await readTensors(join(folder, "truth.safetensors"));
const model = await loadModel(join(folder, "model.onnx"));
function named(tensors: ReadonlyMap<string, Tensor>, key: string): Tensor {
  const found = tensors.get(key);
  if (found) return found;
  throw new Error(`The yardstick lacks "${key}".`);
}
const train = { x: named(data, "x"), target: named(data, "target") };
const queries = { x: named(data, "x_test"), target: named(data, "target_test") };

async function scored(method: attribution.Method) {
  const { scores, dampings } = await attribution.scores(model, train, queries, { loss: "cross_entropy", method });
  const { score } = attribution.linearDatamodelingScore(scores, named(truth, "masks"), named(truth, "losses"));
  return { score, damping: dampings?.[0] ?? Number.NaN };
}

function table(): string {
  const heads = ["yardstick", "method", "measured", ...fixed.map(String)];
  const lines = rows.map(({ yardstick: of, method, measured, damping, fixed: own }) => [
    of,
    method,
    `${measured.toFixed(3)} (${Number(damping.toPrecision(2))})`,
    ...fixed.map((d) => own[d]?.toFixed(3) ?? ""),
  ]);
  return [heads, heads.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

for (const [method, make] of Object.entries(methods)) {
  const place = rows.findIndex((row) => row.yardstick === yardstick && row.method === method);
  const found: Record<string, number> = { ...rows[place]?.fixed };
  for (const damping of fixed) found[damping] ??= (await scored(make({ damping }))).score;
  const { score, damping } = await scored(make({}));
  rows.splice(place < 0 ? rows.length : place, place < 0 ? 0 : 1, {
    yardstick,
    method,
    measured: score,
    damping,
    fixed: found,
  });
  console.log(yardstick, method, score.toFixed(3), damping, found);
  writeFileSync(kept, `${JSON.stringify(rows, null, 2)}\n`);
  putBetween(page, "dampings", table());
}
