/** A compile tells of its stages, and a signal ends it between two of them. */
import { expect, it } from "vitest";
import { type CompileProgress, losses, nn, perSample, type StageName, want } from "../../src/index.js";

const model = nn.model(nn.sequential(nn.linear(3, 4), nn.relu(), nn.linear(4, 2)), { seed: 1 });
const options = { loss: losses.crossEntropy(), want: { norms: want.norms() } };
const stages: readonly StageName[] = [
  "traced",
  "objective",
  "gradient",
  "planned",
  "optimised",
  "lowered",
  "scheduled",
  "loaded",
];

it("tells of every stage, in order, and lets the event loop turn", async () => {
  const told: CompileProgress[] = [];
  const turns: string[] = [];
  const onCompile = (progress: CompileProgress) => {
    told.push(progress);
    setTimeout(() => turns.push(progress.stage));
  };
  const program = await perSample(model, { ...options, onCompile });
  expect(told).toEqual(stages.map((stage, k) => ({ stage, done: k + 1, total: stages.length })));
  // What was to be done after each stage was done before the program was there, but for that of the last.
  expect(turns).toEqual(expect.arrayContaining(["gradient", "optimised", "lowered"]));
  await program.release();
});

it("does not tell of programs that it compiles for itself", async () => {
  const told: string[] = [];
  const program = await perSample(model, { ...options, onCompile: ({ stage }) => told.push(stage) });
  const data = { x: new Float32Array(6).fill(Number.NaN), target: [0, 1] };
  await program.run(data, { allowNotFinite: true, notFinite: "ignore" });
  expect(told).toEqual(stages);
  await program.release();
});

it.each(stages.slice(2, 6))("a signal that aborts after %s ends it before the program is scheduled", async (last) => {
  const controller = new AbortController();
  const told: string[] = [];
  const onCompile = ({ stage }: CompileProgress) => {
    told.push(stage);
    if (stage === last) setTimeout(() => controller.abort(new Error("enough")));
  };
  await expect(perSample(model, { ...options, onCompile, signal: controller.signal })).rejects.toThrow("enough");
  expect(told.at(-1)).not.toBe("loaded");
  expect(told).not.toContain("scheduled");
});

it("a signal alone ends it too", async () => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error("enough")));
  await expect(perSample(model, { ...options, signal: controller.signal })).rejects.toThrow("enough");
});
