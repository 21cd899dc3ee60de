/**
 * Small models cut out of files that people bring. Each folder's note.md says what is right: the norms of the
 * command line agree with the float64 loop over samples, or the model is refused with the words given here.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Oracle } from "../src/check/oracle.js";
import { objectiveOf } from "../src/compile/objective.js";
import { readTensors } from "../src/io/files.js";
import { losses } from "../src/nn/losses.js";
import { loadModel } from "../src/onnx/read/load.js";
import type { LoadOptions } from "../src/onnx/read/load-options.js";
import type { Tensor } from "../src/tensor/tensor.js";
import { run } from "./cli/support.js";
import { temporaryFolder } from "./support/folder.js";
import { expectClose } from "./support/per-sample.js";

const folder = join(import.meta.dirname, "model-cases");

interface Case {
  /** What a user adds to the command line. */
  readonly options?: readonly string[];
  /** The same for the library, where the model's file and its data's sizes do not tell. */
  readonly load?: LoadOptions;
  /** The parameters that must be found, by name. */
  readonly parameters?: readonly string[];
  /** What stderr says beside the result. */
  readonly says?: RegExp;
  /** Where a refusal is right: what it says. */
  readonly refused?: RegExp;
}

/** What the notes say, beyond that it works. */
const notes: Readonly<Record<string, Case>> = {
  "baked-batch-one-declared-open": {
    load: { dimensions: { seq: 5 } },
    parameters: ["w"],
    says: /leaves its batch open, but holds numbers that were made for a batch of 1/,
  },
  "if-on-shared-scalar-input": {
    options: ["--fix", "sr=16000"],
    load: { fix: { sr: 16000 } },
    parameters: ["w0"],
  },
  "question-mark-dims": { load: { dimensions: { "x.2": 6, "x.3": 10 } }, parameters: ["w"] },
  "resize-cubic-of-position-embedding": { parameters: ["pos", "w"] },
  "sorted-by-length-and-back": { parameters: ["W", "R", "B"] },
  "slice-whole-batch-1e9": { parameters: ["w"] },
  "weights-as-constants-in-if-branch": { parameters: ["c0"] },
};

const cases = readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? [entry.name] : [],
);

const command = (name: string, out: string, options: readonly string[] = []) =>
  run(
    "norms",
    join(folder, name, "model.onnx"),
    "--loss",
    "mse",
    "--data",
    join(folder, name, "data.safetensors"),
    "--out",
    out,
    ...options,
  );

/** By the float64 loop over samples: each parameter's norm in each sample. */
async function loop(name: string, load: LoadOptions = {}): Promise<ReadonlyMap<string, readonly number[]>> {
  const data = await readTensors(join(folder, name, "data.safetensors"));
  const model = await loadModel(join(folder, name, "model.onnx"), load);
  const own = model.graph.inputs.map((input) => input.name).concat("target");
  const feeds = Object.fromEntries(own.map((each) => [each, data.get(each) as Tensor]));
  const oracle = new Oracle(objectiveOf(model, { loss: losses.mse() }), feeds);
  const samples = Array.from({ length: data.get("target")?.dims[0] ?? 0 }, (_, n) => oracle.sample(n).gradients);
  const names = [...(samples[0]?.keys() ?? [])];
  return new Map(names.map((each) => [each, samples.map((sample) => Math.hypot(...(sample.get(each) ?? [])))]));
}

describe.each(cases)("model case %s", (name) => {
  const { options = [], load = {}, parameters, says, refused } = notes[name] ?? {};
  it(refused ? "is refused, and told why" : "agrees with the float64 loop over samples", async () => {
    expect(existsSync(join(folder, name, "note.md"))).toBe(true);
    const out = join(temporaryFolder(), "norms.safetensors");
    const { code, err } = await command(name, out, options);
    if (refused) {
      expect(code).toBe(1);
      expect(err).toMatch(refused);
      return;
    }
    expect(err).not.toContain("error");
    expect(code, err).toBe(0);
    if (says) expect(err).toMatch(says);
    const expected = await loop(name, load);
    expect([...expected.keys()].length).toBeGreaterThan(0);
    if (parameters) expect([...expected.keys()]).toEqual(parameters);
    const found = await readTensors(out);
    for (const [each, norms] of expected) {
      expect(Math.max(...norms), each).toBeGreaterThan(0);
      expectClose((found.get(`norms/${each}`) as Tensor<"float32">).data, norms, 1e-4, each);
    }
  });
});

describe("an If on a scalar that all samples share", () => {
  const name = "if-on-shared-scalar-input";
  it("takes the value from the data, and says so", async () => {
    const out = join(temporaryFolder(), "norms.safetensors");
    const { code, err } = await command(name, out, ["--sample-axis", "sr=shared"]);
    expect(code, err).toBe(0);
    expect(err).toContain(
      'The input "sr" decides what the model computes, so it is fixed to its value in the data (--fix sr=16000).',
    );
  });
  it("is refused without data, naming the option", async () => {
    await expect(loadModel(join(folder, name, "model.onnx"))).rejects.toThrow(
      /The condition of If node "y" .* depends on "sr" alone; .*give its value: fix: \{ sr: VALUE \}/,
    );
  });
  it("follows the other branch for another value", async () => {
    const model = await loadModel(join(folder, name, "model.onnx"), { fix: { sr: 8000n } });
    expect([...objectiveOf(model, { loss: losses.mse() }).parameters.keys()]).toEqual(["w1"]);
    expect(model.graph.inputs.map((input) => input.name)).toEqual(["x"]);
  });
  it.each([
    [{ rate: 1 }, "INVALID_ARGUMENT", 'A value is fixed for "rate", but the inputs of'],
    [
      { sr: 0.5 },
      "DTYPE_MISMATCH",
      'The input "sr" is int64, but the value fixed for it holds 0.5; give a whole number',
    ],
    [{ sr: true }, "DTYPE_MISMATCH", "holds true"],
    [
      { sr: [1, 2] },
      "SHAPE_MISMATCH",
      'The input "sr" cannot be fixed: it is [], but the value given for it has 2 elements.',
    ],
  ])("%j is refused", async (fix, code, message) => {
    const loading = loadModel(join(folder, name, "model.onnx"), { fix });
    await expect(loading).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });
  it("wrong usage is told before a file is opened", async () => {
    const out = join(temporaryFolder(), "norms.safetensors");
    for (const text of ["sr", "sr=fast", "sr=1,two"]) {
      expect((await command(name, out, ["--fix", text])).code).toBe(2);
    }
  });
});
