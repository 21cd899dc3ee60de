/**
 * `npm run calibrate`: measures the time of ONNX Runtime's kernels on one thread of this machine, and writes
 * src/ops/prices.ts. Each figure is the minimum CPU time of many runs, so other work on the machine hardly matters; the
 * planner needs only their ratios.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { leaf, type Value } from "../src/graph/value.js";
import { encodeModel } from "../src/onnx/write/encode.js";
import { build } from "../src/ops/registry.js";
import { nodeRuntime } from "../src/target/onnxruntime/node.js";
import { arrayOf, sizeOf, type Tensor } from "../src/tensor/tensor.js";

const file = fileURLToPath(new URL("../../src/ops/prices.ts", import.meta.url));

/** Seconds for each measurement. */
const duration = 0.6;

function given(dims: readonly number[], dtype: "float32" | "int64" | "bool" = "float32", below = 1): [Value, Tensor] {
  const value = leaf(`x${dims.join("_")}_${dtype}`, { dtype, shape: dims }, { kind: "input" });
  const draw = (i: number) => (dtype === "float32" ? Math.sin(1.7 * i) : (i * 7919) % below);
  const elements = Array.from({ length: sizeOf(dims) }, (_, i) => draw(i));
  const data =
    dtype === "int64"
      ? BigInt64Array.from(elements, BigInt)
      : (arrayOf(dtype) as Float32ArrayConstructor).from(elements);
  return [value, { dtype, dims, data } as Tensor];
}

/** Nanoseconds of CPU time. Only a corner of the result is returned, so copying costs almost nothing. */
async function time(inputs: readonly [Value, Tensor][], make: (...values: Value[]) => Value): Promise<number> {
  const result = make(...inputs.map(([value]) => value));
  const corner = result.shape.reduce<Value>((value, _, axis) => build.slice(value, axis, 0, 1), result);
  const bytes = encodeModel({ inputs: inputs.map(([value]) => value), outputs: [{ name: "corner", value: corner }] });
  const session = await nodeRuntime.load(bytes, { threads: 1 });
  const feeds = Object.fromEntries(inputs.map(([value, tensor]) => [value.name, tensor]));
  let least = Number.POSITIVE_INFINITY;
  const end = performance.now() + 1000 * duration;
  for (let run = 0; run < 10 || performance.now() < end; run++) {
    const before = process.cpuUsage();
    await session.run(feeds);
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, 1000 * (user + system));
  }
  await session.release();
  return least;
}

/** Solves a * x + b * y = c and d * x + e * y = f for x and y. */
function solve([a, b, c]: readonly number[], [d, e, f]: readonly number[]): [number, number] {
  const [p, q, r, s, t, u] = [a, b, c, d, e, f].map(Number) as [number, number, number, number, number, number];
  const determinant = p * t - q * s;
  return [(r * t - q * u) / determinant, (p * u - r * s) / determinant];
}

/** Number of floats: more than the processor's caches hold, as in the tensors of a batch. */
const size = 2 ** 20;

async function measure(): Promise<Record<string, number>> {
  const vector = () => given([size]);
  const product = await time([given([512, 512])], (a) => build.matmul(a, a));
  const chain = (of: number) => (x: Value) => Array.from({ length: of }).reduce<Value>((y) => build.mul(y, x), x);
  const pass = ((await time([vector()], chain(9))) - (await time([vector()], chain(1)))) / 8;
  const choose = (of: number) => (m: Value, x: Value) =>
    Array.from({ length: of }).reduce<Value>((y) => build.neg(build.mask(m, y)), x);
  const masks = async (of: number) => time([given([size], "bool", 2), vector()], choose(of));
  const chosen = ((await masks(5)) - (await masks(1))) / 4 - pass;
  const squares = await time([given([64, size / 64])], (x) => build.reduce("ReduceSumSquare", x, [1]));
  const transposed = await time([given([64, 64, 1024])], (x) => build.neg(build.transposeLast(x)));
  const gather = async (rows: number, width: number) =>
    time([given([size / 16, width]), given([rows], "int64", size / 16)], (x, index) => build.gather(x, index, 0));
  const [gatheredRow, gatheredFloat] = solve(
    [size / 4, size, await gather(size / 4, 4)],
    [size / 64, size, await gather(size / 64, 64)],
  );
  const sliced = await time([given([64, 128, 34, 18])], (x) =>
    build.op("Slice", [x, build.ints([1, 1]), build.ints([33, 17]), build.ints([2, 3])]),
  );
  const rows = 64 * 128 * 32;
  const updates = 2 ** 18;
  const scattered = await time([given([updates]), given([updates], "int64", updates)], (x, index) =>
    build.op("ScatterElements", [x, index, x], { axis: 0, reduction: "add" }),
  );
  const kernels = build.constant({ dtype: "float32", dims: [8, 1, 2, 4], data: new Float32Array(64).fill(1) });
  const oneHot = await time([given([512, 1, 17, 19])], (x) => build.op("Conv", [x, kernels]));
  const back = async (channels: number, side: number) =>
    time([given([4, channels, side, side]), given([channels, channels, 3, 3])], (dy, w) =>
      build.op("ConvTranspose", [dy, w], { pads: [1, 1, 1, 1] }),
    );
  const multiplyAdd = product / 512 ** 3;
  const float = pass / size;
  const products = (channels: number, side: number) => 4 * 9 * channels ** 2 * side ** 2 * multiplyAdd;
  const [repacked, folded] = solve(
    [4 * 9 * 384 ** 2, 4 * 9 * 384 * 16, (await back(384, 4)) - products(384, 4)],
    [4 * 9 * 64 ** 2, 4 * 9 * 64 * 1024, (await back(64, 32)) - products(64, 32)],
  );
  const shuffled = await time([given([512, 512, 9])], (w) => build.neg(build.transpose(w, [1, 0, 2])));
  const noted = await time([given([256, 16, 14, 14])], (x) => {
    const attributes = { kernel_shape: [2, 2], strides: [1, 1] };
    return build.node("MaxPool", [x], attributes, 2).outputs[1] as Value;
  });
  const small = (of: number) => async () =>
    time([given([8])], (x) => Array.from({ length: of }).reduce<Value>((y) => build.mul(y, x), x));
  const node = ((await small(201)()) - (await small(1)())) / 200;
  return {
    multiplyAdd,
    float,
    chosen: chosen / size,
    squared: squares / size,
    transposed: transposed / (4 * size) - float,
    gatheredRow,
    gatheredFloat,
    slicedFloat: (sliced - rows * gatheredRow) / (rows * 16),
    scattered: scattered / updates,
    oneHotFloat: oneHot / (512 * 16 * 16 * 8) - 8 * multiplyAdd,
    folded: Math.max(float, folded),
    repacked: Math.max(float, repacked),
    shuffledWeight: shuffled / (512 * 512 * 9) - float,
    notedMaximum: noted / (256 * 16 * 13 * 13 * 4),
    node,
  };
}

/** The file's text with the numbers replaced; its comments stay. */
function rewritten(text: string, figures: Readonly<Record<string, number>>): string {
  return Object.entries(figures).reduce((result, [name, figure]) => {
    const line = new RegExp(`^( {2}${name}: )[\\d.]+(,)$`, "m");
    if (!line.test(result)) throw new Error(`src/ops/prices.ts has no line for ${name}`);
    return result.replace(line, `$1${Number(figure.toPrecision(2))}$2`);
  }, text);
}

const figures = await measure();
writeFileSync(file, rewritten(readFileSync(file, "utf8"), figures));
for (const [name, figure] of Object.entries(figures))
  process.stdout.write(`${name.padEnd(16)} ${figure.toPrecision(3)} ns\n`);
