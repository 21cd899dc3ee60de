/** Every rewriting rule fires where it should, and what it makes has the same value: in float64, before and after. */
import { describe, expect, it, test } from "vitest";
import type { Array64 } from "../../src/float64/array64.js";
import { N } from "../../src/graph/dim.js";
import { leaf, type Node, type Value } from "../../src/graph/value.js";
import { nodesBefore } from "../../src/graph/walk.js";
import { RewriteLog } from "../../src/inspect/rewrite-log.js";
import { evaluateGraph } from "../../src/interpret/evaluate.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import { build } from "../../src/ops/registry.js";
import { scan } from "../../src/ops/rules/scan.js";
import { rules } from "../../src/optimise/rewrite.js";
import { simplify } from "../../src/optimise/simplify.js";
import { nth, present } from "../../src/present.js";
import { nodeRuntime } from "../../src/target/onnxruntime/node.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { asRun } from "../support/graph-checks.js";
import { numbers } from "../support/per-sample.js";

const input = (name: string, shape: Value["shape"], dtype: Value["dtype"] = "float32") =>
  leaf(name, { dtype, shape }, { kind: "input" });

const samples = 3;
const x = input("x", [N, 4]);
const y = input("y", [N, 4]);
const p = input("p", [1, 4]);
const w = input("w", [4, 5]);
const places = input("places", [6], "int64");
const rows = input("rows", [6]);
const vector = input("vector", [8]);
const feeds: ReadonlyMap<Value, Array64> = new Map([
  [x, numbers([samples, 4], 1)],
  [y, numbers([samples, 4], 2)],
  [p, numbers([1, 4], 3)],
  [w, numbers([4, 5], 4)],
  [places, { dims: [6], data: Float64Array.of(1, 5, 1, 0, 7, 5) }],
  [rows, numbers([6], 5)],
  [vector, numbers([8], 6)],
]);

const constant = (value: number) => build.scalar(value, x);
const scattered = () =>
  build.op("ScatterElements", [build.zeros([8], "float32"), places, rows], { axis: 0, reduction: "add" });
const pow = (base: Value, exponent: number) => build.op("Pow", [base, constant(exponent)]);

/** `[4, N * 4]`: the last axis of x y, `[N, 4, 4]`, in front of the others, joined. */
const joinedInFront = (value: Value) => {
  const pairs = build.mul(build.unsqueeze(value, [2]), build.unsqueeze(y, [1]));
  return build.reshape(build.op("Transpose", [pairs], { perm: [2, 0, 1] }), [4, { perSample: 4 }]);
};

/** `[3, N, 4]`, and what is 1 where a condition holds. */
const manyRows = build.mul(build.unsqueeze(x, [0]), build.floats([1, -2, 3], [3, 1, 1], x));
const mask = (condition: Value) => build.cast(condition, "float32");

/** Two values that begin at 1 and 5 of ten columns, and one that is between them, with zeros around each. */
const padded = (value: Value, low: number) => build.pad(value, [0, low], [0, 10 - 4 - low]);
const threePads = build.add(build.add(padded(x, 1), build.pad(build.slice(y, 1, 2, 3), [0, 9], [0, 0])), padded(y, 5));

/** What a loop over the rows of w stacks twice, added up. */
const stackedTwice = (() => {
  const spec = { initial: [build.zeros([5], "float32")], scanned: [w] };
  const { stacked } = scan(build, spec, ([state], [row]) => {
    const next = build.add(present(state), build.op("Sin", [present(row)]));
    return { states: [next], results: [next, row, next].map((each) => present(each)) };
  });
  return build.mul(build.add(nth(stacked, 0), nth(stacked, 2)), nth(stacked, 1));
})();

/** For each rule a value that it is to make cheaper; `without`, an operator that is then gone. */
const cases: Readonly<Record<string, { readonly value: Value; readonly without: string }>> = {
  identity: { value: build.op("Identity", [build.mul(x, y)]), without: "Identity" },
  "neutral-element": { value: build.op("Add", [build.op("Mul", [x, constant(1)]), constant(0)]), without: "Mul" },
  "power-of-two": { value: pow(x, 2), without: "Pow" },
  "constant-power": { value: pow(build.abs(x), -1.5), without: "Pow" },
  "times-minus-one": { value: build.op("Mul", [x, constant(-1)]), without: "Mul" },
  "masked-twice": {
    value: build.mul(build.mul(manyRows, mask(build.greater(p, constant(0)))), mask(build.greater(constant(0.9), p))),
    without: "",
  },
  "decided-where": {
    value: build.op("Where", [build.constant({ dtype: "bool", dims: [], data: Uint8Array.of(1) }), x, y]),
    without: "Where",
  },
  "einsum-of-expand": {
    value: build.op("Einsum", [x, build.expand(p, x.shape)], { equation: "ni,ni->n" }),
    without: "Expand",
  },
  "einsum-as-matmul": { value: build.op("Einsum", [x, w], { equation: "ni,io->no" }), without: "Einsum" },
  "transposed-back": {
    value: build.op("Transpose", [joinedInFront(x)], { perm: [1, 0] }),
    without: "Transpose",
  },
  "broadcast-of-expand": { value: build.op("Add", [x, build.expand(p, x.shape)]), without: "Expand" },
  "pointwise-of-expand": { value: build.op("Tanh", [build.expand(p, x.shape)]), without: "" },
  "transpose-of-expand": {
    value: build.op("Transpose", [build.expand(p, x.shape)], { perm: [1, 0] }),
    without: "",
  },
  "joined-views": {
    value: build.op("Transpose", [build.op("Transpose", [x], { perm: [1, 0] })], { perm: [1, 0] }),
    without: "Transpose",
  },
  "joined-pads": { value: threePads, without: "Add" },
  "stacked-once": { value: stackedTwice, without: "" },
  "sum-of-scatter": { value: build.op("Sub", [vector, scattered()]), without: "Sub" },
  "reduction-of-scatter": { value: build.sum(scattered(), [0]), without: "ScatterElements" },
  "negated-product": { value: build.op("Neg", [build.op("Mul", [x, build.slice(p, 1, 0, 1)])]), without: "" },
};

const ops = (value: Value) => nodesBefore([value]).map(({ op }) => op);

test("every rule has a case", () => {
  expect(Object.keys(cases).sort()).toEqual(rules.map(({ name }) => name).sort());
});

describe.each(Object.entries(cases))("%s", (name, { value, without }) => {
  it("fires, and the value stays", () => {
    const log = new RewriteLog();
    const [after] = simplify([value], log.seen) as [Value];
    expect([...log.counts.keys()]).toContain(name);
    if (without !== "") {
      expect(ops(value)).toContain(without);
      expect(ops(after)).not.toContain(without);
    }
    const [expected, found] = [value, after].map((each) => evaluateGraph([each], feeds, samples)[0] as Array64);
    expect(after.shape).toEqual(value.shape);
    expect(found?.dims).toEqual(expected?.dims);
    found?.data.forEach((element, k) => {
      const exact = expected?.data[k] as number;
      expect(Math.abs(element - exact)).toBeLessThanOrEqual(1e-14 * Math.abs(exact));
    });
  });
});

it("a sum of padded values that overlap, leave a gap, or are padded along different axes is kept", () => {
  const sums = [
    build.add(padded(x, 1), padded(y, 4)),
    build.add(padded(x, 0), padded(y, 6)),
    build.add(build.pad(w, [0, 0], [5, 0]), build.pad(build.reshape(w, [5, 4]), [0, 0], [4, 1])),
    build.add(
      build.pad(x, [0, 1], [0, 3]),
      build.op("Pad", [y, build.ints([0, 4, 0, 0]), constant(1)], { mode: "constant" }),
    ),
  ];
  for (const sum of sums) expect(ops(simplify([sum])[0] as Value)).toContain("Add");
});

it("a loop keeps what it stacks in opposite directions, and its states", () => {
  const node = nodesBefore([stackedTwice]).find(({ op }) => op === "Scan") as Node;
  const both = build.node("Scan", node.inputs, { ...node.attributes, scan_output_directions: [0, 0, 1, 0] }, 5);
  const kept = (made: Node) => nodesBefore(simplify(made.outputs)).find(({ op }) => op === "Scan")?.outputs.length;
  expect(kept(both)).toBe(5);
  expect(kept(node)).toBe(4);
});

/** What the runtime computes of a cleaned graph. */
async function run(inputs: readonly Value[], outputs: readonly Value[], given: Record<string, Tensor>) {
  const cleaned = asRun(outputs).map((value, k) => ({ name: `y${k}`, value }));
  const session = await nodeRuntime.load(encodeModel({ inputs, outputs: cleaned }));
  const found = await session.run(given);
  await session.release();
  return cleaned.map(({ name }) => found[name] as Tensor<"float32">);
}

const { POSITIVE_INFINITY: infinity, NaN: nan } = Number;
const special = [0, -0, 1, -1, infinity, -infinity, nan, 2, -3, 1e-3, 7.25e5, 1e10, -1e10, 3e-9, 1e38, -1e38, 1e-37];
const drawn = [...numbers([400], 9).data].flatMap((u) => [u * 3, Math.exp(u * 12)]);

/** The distance of two numbers in units in the last place of a float32. */
function unitsApart(a: number, b: number): number {
  if (Object.is(a, b) || a === b) return 0;
  const unit = 2 ** (Math.floor(Math.log2(Math.max(Math.abs(b), 2 ** -126))) - 23);
  return Math.abs(a - b) / unit;
}

describe("a power by a constant", () => {
  const v = input("v", [special.length + drawn.length]);
  const data = Float32Array.from([...special, ...drawn]);

  it.each([-2, -1.5, -1, -0.5, 0.5, 1.5, 3, 4])("%f is without Pow, and as exact", async (exponent) => {
    const value = pow(v, exponent);
    expect(ops(simplify([value])[0] as Value)).not.toContain("Pow");
    const [found] = await run([v], [value], { v: { dtype: "float32", dims: [data.length], data } });
    data.forEach((base, k) => {
      const [expected, element] = [Math.fround(base ** exponent), found?.data[k] as number];
      if (Number.isFinite(expected) && Math.abs(expected) > 2 ** -126) {
        expect({ base, close: unitsApart(element, base ** exponent) <= 2 }).toEqual({ base, close: true });
      } else if (Math.abs(expected) <= 2 ** -126) expect(Math.abs(element)).toBeLessThan(2 ** -125);
      else expect([base, element]).toEqual([base, expected]);
    });
  });

  it("of what is never negative is one square root", () => {
    const squares = build.add(build.reduce("ReduceSumSquare", v, [0]), constant(1e-5));
    expect(ops(simplify([pow(squares, 0.5)])[0] as Value)).toEqual(["ReduceSumSquare", "Add", "Sqrt"]);
  });
});

it("scalings in a row that two matrix products read run in the runtime", async () => {
  const scaled = build.op("Mul", [x, constant(0.5)]);
  const twice = build.op("Mul", [scaled, constant(1 / 0.7)]);
  const products = [build.op("MatMul", [scaled, w]), build.op("MatMul", [twice, w])];
  const float32 = ({ dims, data }: Array64): Tensor => ({ dtype: "float32", dims, data: Float32Array.from(data) });
  const given = { x: float32(feeds.get(x) as Array64), w: float32(feeds.get(w) as Array64) };
  const found = await run([x, w], products, given);
  const expected = evaluateGraph(products, feeds, samples);
  found.forEach(({ data }, k) => {
    data.forEach((element, i) => {
      expect(element).toBeCloseTo(expected[k]?.data[i] as number, 5);
    });
  });
});
