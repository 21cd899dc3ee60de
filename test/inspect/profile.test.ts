import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { losses, nn, type Profile, perSample, want } from "../../src/index.js";
import { Program } from "../../src/program/program.js";
import { interpreter } from "../../src/target/interpreter/index.js";
import { run } from "../cli/support.js";

async function refused(promise: Promise<unknown>, code: string, message: RegExp): Promise<void> {
  await expect(promise).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
}

const floats = (...dims: number[]) => {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return { dtype: "float32", dims, data: Float32Array.from({ length: size }, (_, k) => Math.sin(k)) } as const;
};
const labels = (count: number) =>
  ({ dtype: "int64", dims: [count], data: BigInt64Array.from({ length: count }, (_, k) => BigInt(k % 2)) }) as const;
const layers = () => nn.sequential(nn.linear(6, 8), nn.relu(), nn.linear(8, 2));
const wants = { norms: want.norms(), sum: want.clippedSum({ maxNorm: 1 }) };
const data = { x: floats(16, 6), target: labels(16) };

test("a profile tells time and bytes of every node, and what it belongs to", async () => {
  const program = await perSample(layers(), { loss: losses.crossEntropy(), want: wants });
  const profile = await program.profile(data, { runs: 3 });
  expect(profile).toMatchObject({ samples: 16, runs: 3 });
  const names = profile.byPart.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(["forward", "loss", "backward", "norms", "sum"]));
  for (const { part, computes } of profile.nodes) if (part === "other") expect(computes).toBe("");
  // Each of the two layers' products, whatever the runtime fuses them with.
  const forward = profile.nodes.filter(({ part, op }) => part === "forward" && op.endsWith("Gemm"));
  expect(forward.map(({ bytes }) => bytes).sort()).toEqual([16 * 2 * 4, 16 * 8 * 4].sort());
  const times = profile.nodes.map(({ milliseconds }) => milliseconds);
  expect(times).toEqual([...times].sort((a, b) => b - a));
  expect(profile.peak).toBeGreaterThan(16 * 8 * 4);
  await program.release();
});

test("sums add up to the nodes', and no node counts twice", async () => {
  const program = await perSample(layers(), { loss: losses.crossEntropy(), want: wants });
  const { byOp, byPart, nodes, milliseconds } = await program.profile(data, { runs: 2 });
  const sum = (all: readonly { readonly milliseconds: number }[]) =>
    all.reduce((total, each) => total + each.milliseconds, 0);
  expect(sum(byOp)).toBeCloseTo(sum(nodes), 9);
  expect(sum(byPart)).toBeCloseTo(sum(nodes), 9);
  expect(sum(nodes)).toBeLessThanOrEqual(milliseconds);
  await program.release();
});

test("nodes in loops belong where the loop does, and sums count the loop alone", async () => {
  const model = nn.model(nn.rnn(3, 4), { input: { x: ["N", 5, 3] } });
  const program = await perSample(model, {
    loss: (output) => output.square().sum([1, 2]),
    target: { shape: ["N"] },
    want: { norms: want.norms() },
  });
  const { nodes, byOp } = await program.profile({ x: floats(2, 5, 3), target: floats(2) }, { runs: 2 });
  const inside = nodes.filter((node) => node.inside);
  expect(inside.length).toBeGreaterThan(3);
  expect(new Set(inside.map(({ part }) => part))).toEqual(new Set(["forward", "backward"]));
  const counted = byOp.reduce((total, each) => total + each.nodes, 0);
  expect(counted).toBe(nodes.length - inside.length);
  await program.release();
});

test.each(["lstm", "opacus_mnist_cnn", "resnet_gn", "mha_left_padding_nan", "embedding_seq"])(
  "%s: every node that computes a value of the program belongs somewhere",
  async (name) => {
    const folder = join(import.meta.dirname, "../goldens", name);
    const { loss, inputs } = JSON.parse(readFileSync(join(folder, "case.json"), "utf8"));
    const axes = Object.entries<{ sample_axis: number }>(inputs).map(
      ([key, { sample_axis }]) => `${key}=${sample_axis}`,
    );
    const options = axes.flatMap((axis) => ["--sample-axis", axis]);
    const { out, err } = await run(
      "explain",
      join(folder, "model.onnx"),
      ...["--data", join(folder, "data.safetensors"), "--loss", loss, "--want", "norms,clipped-sum"],
      ...[...options, "--profile", "--json"],
    );
    expect(err).toBe("");
    const [{ profile }] = JSON.parse(out);
    const computing = profile.nodes.filter(({ computes }: { computes: string }) => computes !== "");
    expect(computing.length).toBeGreaterThan(20);
    expect(computing.filter(({ part }: { part: string }) => part === "other")).toEqual([]);
    const parts = profile.byPart.map(({ name }: { name: string }) => name);
    expect(parts).toEqual(expect.arrayContaining(["forward", "backward", "norms", "clipped-sum"]));
  },
);

test("a want of another batch, worker threads and half precision are profiled too", async () => {
  const other = { x: floats(3, 6), target: labels(3) };
  const program = await perSample(layers(), {
    loss: losses.crossEntropy(),
    want: { cross: want.cross(other), half: want.gradients({ storage: "float16" }) },
    workers: true,
  });
  const { byPart } = await program.profile(data, { runs: 1 });
  expect(byPart.map(({ name }) => name)).toEqual(expect.arrayContaining(["cross", "half"]));
  await program.release();
});

test("the text lists nodes, operators and parts, and says what the figures are of", async () => {
  const program = await perSample(layers(), { loss: losses.crossEntropy(), want: wants });
  const text = `${await program.profile(data, { runs: 2 })}`;
  expect(text).toMatch(/^node +belongs to +ms +% +MB +computes\n/);
  expect(text).toMatch(/\noperator +nodes +ms +% +MB\n/);
  expect(text).toMatch(/\nbelongs to +nodes +ms +% +MB\n/);
  expect(text).toMatch(/\n16 samples, mean of 2 runs: [\d.]+ ms a run, .* At most [\d.]+ MB were in use at once\.\n$/);
  // Under the names of the program's graph.
  const [, computed = ""] = /(\S+: float32 \[N, 8\] = Relu\(\S+\))/.exec(text) ?? [];
  expect(program.graph()).toContain(computed);
  await program.release();
});

test("an observer is told of the first batch alone, whose results stay the same", async () => {
  const told: Profile[] = [];
  const observe = { onProfile: (profile: Profile) => told.push(profile) };
  const program = await perSample(layers(), { loss: losses.crossEntropy(), want: wants, observe });
  const plain = await perSample(layers(), { loss: losses.crossEntropy(), want: wants });
  expect(await program.run(data)).toEqual(await plain.run(data));
  await program.run(data);
  expect(told.map(({ samples }) => samples)).toEqual([16]);
  await program.release();
  await plain.release();
});

test("what cannot be profiled says why", async () => {
  const options = { loss: losses.crossEntropy(), want: wants };
  const program = await perSample(layers(), options);
  await refused(program.profile(data, { runs: 0 }), "INVALID_ARGUMENT", /must be a whole number/);
  const empty = { x: floats(0, 6), target: labels(0) };
  await refused(program.profile(empty), "INVALID_ARGUMENT", /empty batch/);
  await program.release();
  const other = await Program.compile(nn.model(layers()), options, interpreter);
  await refused(other.profile(data), "RUNTIME", /float64 interpreter has no profiler/);
  await other.release();
});
