import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { type ErrorCode, losses, nn, perSample, want, workers } from "../../src/index.js";
import { numbers } from "../support/per-sample.js";

const code = (expected: ErrorCode) => expect.objectContaining({ code: expected });
const network = nn.sequential(nn.linear(3, 4), nn.tanh(), nn.linear(4, 2));
const options = { loss: losses.crossEntropy(), want: { gradients: want.gradients(), norms: want.norms() } };
const data = { x: Float32Array.from(numbers([6, 3], 1).data), target: BigInt64Array.of(0n, 1n, 0n, 1n, 1n, 0n) };

/** Takes a while: 4 GFLOP a sample. */
const large = nn.sequential(nn.linear(1000, 1000), nn.relu(), nn.linear(1000, 1000), nn.relu(), nn.linear(1000, 10));
const much = { x: new Float32Array(512 * 1000).fill(0.1), target: new BigInt64Array(512) };
const slow = { loss: losses.crossEntropy(), want: { norms: want.norms() } };

// The threads run the built package.
const dist = join(import.meta.dirname, "../../dist/src/index.js");
const built = existsSync(dist);

describe.skipIf(!built)(`worker threads${built ? "" : " (skipped: the package is not built)"}`, () => {
  it("give what the main thread gives, to several programs in one pool, and leave the caller's arrays alone", async () => {
    const pool = workers({ count: 2 });
    const wanted = await (await perSample(network, options)).run(data);
    const programs = await Promise.all([1, 2, 3].map(() => perSample(network, { ...options, workers: pool })));
    const view = { x: new Float32Array([7, ...data.x, 7]).subarray(1, 19), target: data.target };
    const results = await Promise.all([...programs, ...programs].map((program) => program.run(view)));
    for (const found of results) expect(found).toEqual(wanted);
    expect([view.x.length, view.target.length]).toEqual([18, 6]);
    const shared = new Float32Array(new SharedArrayBuffer(72));
    shared.set(data.x);
    expect(await programs[0]?.run({ x: shared, target: data.target })).toEqual(wanted);
    expect(await programs[1]?.runAll(data, { chunkSize: 4 })).toEqual(
      await (await perSample(network, options)).runAll(data, { chunkSize: 4 }),
    );
    await programs[0]?.release();
    expect(await programs[1]?.run(data)).toEqual(wanted);
    await pool.release();
  });

  it("leave the event loop free", async () => {
    const program = await perSample(large, { ...slow, workers: true });
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    await program.runAll(much, { chunkSize: 512 });
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(3);
    await program.release();
  });

  it("let errors through with their codes", async () => {
    const program = await perSample(network, { ...options, workers: true });
    await expect(program.run({ x: data.x, target: [0] })).rejects.toEqual(code("BATCH_MISMATCH"));
    const short = { dtype: "float32", dims: [6, 3], data: new Float32Array(4) } as const;
    await expect(program.run({ ...data, x: short })).rejects.toEqual(code("SHAPE_MISMATCH"));
    await program.release();
    await program.release();
    await expect(program.run(data)).rejects.toEqual(code("INVALID_ARGUMENT"));
    expect(() => workers({ count: 0 })).toThrow(code("INVALID_ARGUMENT"));
    const pool = workers();
    await pool.release();
    await expect(perSample(network, { ...options, workers: pool })).rejects.toEqual(code("RUNTIME"));
    await expect(perSample(network, { ...options, workers: workers(), threads: 0 })).rejects.toEqual(
      code("INVALID_ARGUMENT"),
    );
  });

  it("end in the middle of a run, which then throws", async () => {
    const pool = workers();
    const program = await perSample(large, { ...slow, workers: pool });
    const running = program.run(much);
    const late = expect(running).rejects.toEqual(code("RUNTIME"));
    setTimeout(() => pool.release(), 5);
    await late;
    await expect(program.run(much)).rejects.toEqual(code("RUNTIME"));
    await program.release();
  });

  it("leave a stream at once when it is aborted", async () => {
    const program = await perSample(large, { ...slow, workers: true });
    const controller = new AbortController();
    const next = program.stream(much, { chunkSize: 512, signal: controller.signal }).next();
    const stopped = expect(next).rejects.toThrow("stop");
    setTimeout(() => controller.abort(new Error("stop")), 1);
    await stopped;
    await program.release();
  });

  it.each([
    "",
    "await program.release();",
    "await pool.release();",
    "program.run({ x: much, target: labels }); setTimeout(() => process.exit(), 5);",
  ])("do not keep the process alive (at its end: %j)", (end) => {
    const script = `
        import { losses, nn, perSample, want, workers } from ${JSON.stringify(pathToFileURL(dist).href)};
        const pool = workers();
        const program = await perSample(nn.linear(3, 2), { loss: losses.crossEntropy(), want: { norms: want.norms() }, workers: pool });
        const { norms } = await program.run({ x: new Float32Array(6), target: [0, 1] });
        const much = new Float32Array(3e6), labels = new BigInt64Array(1e6);
        console.log(norms.total.dims.join());
        ${end}`;
    const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
      encoding: "utf8",
    });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "2\n", stderr: "" });
  });
});
