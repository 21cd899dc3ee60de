/** What computes: the CPU as ever, and what a user is told where something else is asked for. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { losses, nn, type Program, type ProgramOptions, perSample, tensor, want } from "../../src/index.js";
import { fallenBack } from "../../src/target/onnxruntime/execution.js";
import { profiler } from "../../src/target/onnxruntime/profiler.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { input } from "../../src/trace/index.js";

const model = nn.model(nn.sequential(nn.linear(3, 5), nn.relu(), nn.linear(5, 2)), { seed: 1 });
const wants = { norms: want.norms(), losses: want.losses() };
const data = {
  x: tensor(
    "float32",
    [4, 3],
    Float32Array.from({ length: 12 }, (_, k) => Math.sin(k)),
  ),
  target: [0, 1, 1, 0],
};
const programs: Program<typeof wants>[] = [];

afterEach(async () => {
  for (const program of programs.splice(0)) await program.release();
});

async function on(execution?: ProgramOptions<typeof wants>["execution"]) {
  const program = await perSample(model, {
    loss: losses.crossEntropy(),
    want: wants,
    ...(execution ? { execution } : {}),
  });
  programs.push(program);
  return program;
}

describe("execution", () => {
  it('["cpu"] is the default', async () => {
    const [one, other] = [await on(), await on(["cpu"])];
    expect((await other.run(data)).norms).toEqual((await one.run(data)).norms);
    expect(other.explain().notes).toEqual(one.explain().notes);
  });

  it("takes those alone that there are", async () => {
    for (const wrong of [[], ["gpu"], "cuda", [1]])
      await expect(on(wrong as never)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  it.runIf(process.platform === "linux").each([
    ["dml", "Windows"],
    ["coreml", "macOS"],
  ] as const)("of %s says where it is to be had", async (provider, place) => {
    await expect(on([provider, "cpu"])).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining(place),
    });
  });

  const folder = dirname(createRequire(import.meta.url).resolve("onnxruntime-node/package.json"));
  const cuda = join(folder, "bin/napi-v6/linux/x64/libonnxruntime_providers_cuda.so");
  it.runIf(process.platform === "linux" && !existsSync(cuda))(
    "of cuda says what to install, and does not fall back in silence",
    async () => {
      await expect(on(["cuda", "cpu"])).rejects.toMatchObject({
        message: expect.stringMatching(/install CUDA 12 and cuDNN 9/),
      });
    },
  );
});

describe("nodes that fall back", () => {
  const x = input("x", ["N", 3]);
  const { value } = x.mul(x).sum([1]).exp();
  const program = { inputs: [x.value], outputs: [{ name: "y", value }] };
  const feeds: Record<string, Tensor> = { x: data.x };

  it("are those that ran on the CPU, counted by operator", async () => {
    const { nodes } = await profiler.profile(program, feeds, { runs: 1 });
    expect(nodes.map(({ provider }) => provider)).toEqual(nodes.map(() => "CPUExecutionProvider"));
    const note = fallenBack(nodes, ["cuda", "cpu"]);
    for (const { op } of nodes) expect(note).toContain(op);
    const three = [
      { op: "Scan", provider: "CPUExecutionProvider" },
      ...Array(2).fill({ op: "Sum", provider: "CPUExecutionProvider" }),
    ];
    expect(fallenBack([...three, { op: "MatMul", provider: "CUDAExecutionProvider" }], ["cuda", "cpu"])).toBe(
      "Not on cuda but on the CPU run Sum (2), Scan.",
    );
  });

  it("are none where the CPU was asked for", async () => {
    expect(await profiler.fallenBack(program, ["cpu"])).toBeNull();
  });
});
