import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { nodesBefore } from "../../src/graph/walk.js";
import { loadModel, losses, nn, type Observer, perSample, RewriteLog, StageFolder, want } from "../../src/index.js";
import type { Stage } from "../../src/inspect/observe.js";
import { evaluateGraph, toArray64 } from "../../src/interpret/evaluate.js";
import { temporaryFolder } from "../support/folder.js";

async function refused(promise: Promise<unknown>, code: string, message: RegExp): Promise<void> {
  await expect(promise).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
}

const samples = 3;
const data = {
  x: { dtype: "float32", dims: [samples, 4], data: Float32Array.from({ length: 12 }, (_, k) => Math.sin(k)) },
  target: { dtype: "int64", dims: [samples], data: BigInt64Array.of(0n, 1n, 1n) },
} as const;
const model = () => nn.sequential(nn.linear(4, 5), nn.gelu(), nn.linear(5, 2));
const options = { loss: losses.crossEntropy(), want: { norms: want.norms(), sum: want.clippedSum({ maxNorm: 0.5 }) } };

async function compiled(observe: Observer) {
  return perSample(model(), { ...options, observe });
}

test("a compile comes to its stages in order, and each says what it took", async () => {
  const stages: Stage[] = [];
  const program = await compiled({ onStage: (stage) => stages.push(stage) });
  await program.release();
  expect(stages.map(({ name }) => name)).toEqual(
    "traced objective gradient planned optimised lowered scheduled loaded".split(" "),
  );
  for (const { milliseconds } of stages) expect(milliseconds).toBeGreaterThanOrEqual(0);
  expect(stages[0]?.sampleAxes).toEqual({ x: 0 });
  expect(stages.at(-1)?.sampleAxes).toEqual({ x: 0, target: 0 });
});

test("the stages from the plan to the runtime compute the same", async () => {
  const stages = new Map<string, Stage>();
  const program = await compiled({ onStage: (stage) => stages.set(stage.name, stage) });
  const found = (name: string) => {
    const { graph } = stages.get(name) as Stage;
    const given = [...graph.inputs, ...graph.parameters].map((value) => {
      const tensor = { ...data, ...program.model.parameters }[value.name];
      if (!tensor) throw new Error(`no data for ${value}`);
      return [value, toArray64(tensor)] as const;
    });
    const outputs = graph.outputs.map(({ value }) => value);
    return evaluateGraph(outputs, new Map(given), samples).map(({ data: elements }) => Array.from(elements));
  };
  const planned = found("planned");
  expect(planned.length).toBeGreaterThan(5);
  for (const name of ["optimised", "lowered"]) {
    for (const [k, elements] of found(name).entries())
      for (const [n, element] of elements.entries()) expect(element).toBeCloseTo(planned[k]?.[n] ?? Number.NaN, 6);
  }
  await program.release();
});

test("being observed changes no result", async () => {
  const log = new RewriteLog();
  const seen = await compiled({ onStage: () => {}, onRewrite: log.seen, onPlan: () => {} });
  const plain = await perSample(model(), options);
  expect(await seen.run(data)).toEqual(await plain.run(data));
  expect(log.counts.get("approximate")).toBeGreaterThan(0);
  await seen.release();
  await plain.release();
});

test("a plan is told once, as explain() gives it", async () => {
  const told: string[] = [];
  const program = await compiled({ onPlan: (explanation) => told.push(`${explanation}`) });
  expect(told).toEqual([`${program.explain()}`]);
  await program.release();
});

test("stages are saved as numbered ONNX files, which load again", async () => {
  const stages = new StageFolder();
  const program = await compiled(stages);
  await program.release();
  const folder = join(temporaryFolder(), "made", "here");
  const saved = await stages.save(folder);
  expect(saved).toEqual(
    [
      "01-traced",
      "02-objective",
      "03-gradient",
      "04-planned",
      "05-optimised",
      "06-lowered",
      "07-scheduled",
      "08-as-run",
    ].map((name) => ({ file: `${name}.onnx` })),
  );
  expect(readdirSync(folder).sort()).toEqual(saved.map(({ file }) => file));
  const { graph } = await loadModel(readFileSync(join(folder, "05-optimised.onnx")));
  expect(nodesBefore(graph.outputs.map(({ value }) => value)).length).toBeGreaterThan(10);
});

test("a folder that cannot be made is an error that names it", async () => {
  const stages = new StageFolder();
  await (await compiled(stages)).release();
  const path = join(temporaryFolder(), "file");
  writeFileSync(path, "");
  await refused(stages.save(path), "FILE_UNWRITABLE", /file/);
});
