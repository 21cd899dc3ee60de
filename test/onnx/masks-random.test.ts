/**
 * Random computations of rows that a mask picks: what is read gives what the file gives on ONNX Runtime. Some of the
 * steps let rows meet or lose their places, and must be refused.
 */
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { expect, it } from "vitest";
import { PergradError } from "../../src/errors.js";
import { modelOf } from "../../src/onnx/read/model-of.js";
import { nth } from "../../src/present.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { relativeError } from "./compare.js";
import {
  constant,
  encoded,
  type FileInit,
  file,
  initializer,
  int,
  int64s,
  ints,
  node,
  run,
  scalar,
  text,
  valueInfo,
  waves,
} from "./models.js";

type Nodes = NonNullable<FileInit["nodes"]>;

const constants: Nodes = [
  constant("minus", int64s(-1)),
  constant("zeros", int64s(0)),
  constant("ones", int64s(1)),
  constant("start", int64s(-9223372036854775807n)),
  constant("flat", int64s(-1, 4)),
  constant("pairs", int64s(-1, 2, 4)),
  constant("halves", int64s(-1, 2, 2)),
  constant("columns", int64s(4, -1)),
  constant("turned", int64s(3, 2, 1, 0)),
  constant("first", scalar(0)),
  constant("second", scalar(1)),
];

const exchanged = [ints("perm", [1, 0])];
const backwards = (x: string, axis: string, y: string) => node("Slice", [x, "minus", "start", axis, "minus"], [y]);

/** `[count, 4]` from `[count, 4]`; whether each row is computed alone. */
const steps: readonly (readonly [boolean, (x: string, y: string) => Nodes])[] = [
  [true, (x, y) => [node("MatMul", [x, "w"], [y])]],
  [true, (x, y) => [node("Add", [x, "token"], [y])]],
  [true, (x, y) => [node("Relu", [x], [y])]],
  [true, (x, y) => [node("Softmax", [x], [y], [int("axis", -1)])]],
  [true, (x, y) => [node("LayerNormalization", [x, "token"], [y], [int("axis", -1)])]],
  [true, (x, y) => [node("CumSum", [x, "second"], [y])]],
  [true, (x, y) => [backwards(x, "ones", y)]],
  [true, (x, y) => [node("ReduceMean", [x, "minus"], [`${y}m`]), node("Sub", [x, `${y}m`], [y])]],
  [true, (x, y) => [node("Concat", [x, x], [`${y}c`], [int("axis", 1)]), node("MatMul", [`${y}c`, "wide"], [y])]],
  [
    true,
    (x, y) => [
      node("Reshape", [x, "halves"], [`${y}h`]),
      node("Transpose", [`${y}h`], [`${y}t`], [ints("perm", [0, 2, 1])]),
      node("Reshape", [`${y}t`, "flat"], [y]),
    ],
  ],
  [
    true,
    (x, y) => [
      node("Transpose", [x], [`${y}t`], exchanged),
      node("Gather", [`${y}t`, "turned"], [`${y}g`], [int("axis", 0)]),
      node("Transpose", [`${y}g`], [y], exchanged),
    ],
  ],
  [
    true,
    (x, y) => [
      node("Shape", [x], [`${y}s`]),
      node("Expand", ["token", `${y}s`], [`${y}e`]),
      node("Mul", [x, `${y}e`], [y]),
    ],
  ],
  [false, (x, y) => [node("Softmax", [x], [y], [int("axis", 0)])]],
  [false, (x, y) => [node("CumSum", [x, "first"], [y])]],
  [false, (x, y) => [backwards(x, "zeros", y)]],
  [false, (x, y) => [node("ReduceMean", [x, "zeros"], [`${y}m`]), node("Sub", [x, `${y}m`], [y])]],
  [false, (x, y) => [node("ReduceMax", [x], [`${y}m`]), node("Sub", [x, `${y}m`], [y])]],
  [false, (x, y) => [node("Transpose", [x], [`${y}t`], exchanged), node("Reshape", [`${y}t`, "flat"], [y])]],
  [false, (x, y) => [node("Reshape", [x, "columns"], [`${y}c`]), node("Transpose", [`${y}c`], [y], exchanged)]],
  [
    false,
    (x, y) => [
      node("Concat", [x, x], [`${y}c`], [int("axis", 0)]),
      node("Reshape", [`${y}c`, "pairs"], [`${y}p`]),
      node("ReduceSum", [`${y}p`, "ones"], [y], [int("keepdims", 0)]),
    ],
  ],
  [
    false,
    (x, y) => [
      node("Transpose", [x], [`${y}t`], exchanged),
      node("MatMul", [x, `${y}t`], [`${y}q`]),
      node("Softmax", [`${y}q`], [`${y}p`]),
      node("MatMul", [`${y}p`, x], [y]),
    ],
  ],
  [
    false,
    (x, y) => [
      node("Shape", [x], [`${y}s`]),
      node("Slice", [`${y}s`, "zeros", "ones", "zeros"], [`${y}n`]),
      node("Cast", [`${y}n`], [`${y}f`], [int("to", 1)]),
      node("Mul", [x, `${y}f`], [y]),
    ],
  ],
];

const reductions = ["none", "add", "mul", "max", "min"];
const swapped = [ints("perm", [1, 0, 2])];

/** How rows `r0` are picked, and how rows `last` come back as `z`, `[N, 5, 4]`. */
const frames: readonly ((core: Nodes, last: string, reduction: string) => Nodes)[] = [
  (core, last, reduction) => [
    node("NonZero", ["mask"], ["nz"]),
    node("Transpose", ["nz"], ["at"]),
    node("GatherND", ["h", "at"], ["r0"]),
    ...core,
    node("ScatterND", ["h", "at", last], ["z"], [text("reduction", reduction)]),
  ],
  // The samples are on the second axis.
  (core, last, reduction) => [
    node("Transpose", ["h"], ["ht"], swapped),
    node("Transpose", ["mask"], ["mt"], exchanged),
    node("NonZero", ["mt"], ["nz"]),
    node("Transpose", ["nz"], ["at"]),
    node("GatherND", ["ht", "at"], ["r0"]),
    ...core,
    node("ScatterND", ["ht", "at", last], ["zt"], [text("reduction", reduction)]),
    node("Transpose", ["zt"], ["z"], swapped),
  ],
  // The columns of the places are exchanged.
  (core, last, reduction) => [
    node("NonZero", ["mask"], ["nz"]),
    backwards("nz", "zeros", "zn"),
    node("Transpose", ["zn"], ["at"]),
    node("Transpose", ["h"], ["ht"], swapped),
    node("GatherND", ["ht", "at"], ["r0"]),
    ...core,
    node("ScatterND", ["ht", "at", last], ["zt"], [text("reduction", reduction)]),
    node("Transpose", ["zt"], ["z"], swapped),
  ],
  // Each place reads its whole sample.
  (core, last) => [
    node("NonZero", ["mask"], ["nz"]),
    node("Gather", ["nz", "first"], ["i"]),
    node("Gather", ["h", "i"], ["whole"], [int("axis", 0)]),
    node("ReduceMean", ["whole", "ones"], ["r0"], [int("keepdims", 0)]),
    ...core,
    node("Transpose", ["nz"], ["at"]),
    node("ScatterND", ["h", "at", last], ["z"]),
  ],
  // All rows of a sample are added to one of its own.
  (core, last) => [
    node("NonZero", ["mask"], ["nz"]),
    node("Gather", ["nz", "first"], ["i"]),
    node("Transpose", ["nz"], ["at"]),
    node("GatherND", ["h", "at"], ["r0"]),
    ...core,
    node("ReduceSum", ["h", "ones"], ["total"], [int("keepdims", 0)]),
    node("Unsqueeze", ["i", "minus"], ["i1"]),
    node("ScatterND", ["total", "i1", last], ["z2"], [text("reduction", "add")]),
    node("Unsqueeze", ["z2", "ones"], ["z"]),
  ],
];

interface Drawn {
  readonly bytes: Uint8Array;
  readonly alone: boolean;
}

function draw(below: (n: number) => number): Drawn {
  const chosen = Array.from({ length: 1 + below(3) }, () => nth(steps, below(steps.length)));
  const core = chosen.flatMap(([, nodes], k) => nodes(`r${k}`, `r${k + 1}`));
  const frame = nth(frames, below(frames.length));
  const nodes = frame(core, `r${chosen.length}`, nth(reductions, below(reductions.length)));
  const bytes = file({
    inputs: [valueInfo("x", ["N", 5, 4]), valueInfo("mask", ["N", 5], 9)],
    initializers: [
      initializer("w", waves([4, 4])),
      initializer("wide", waves([8, 4])),
      initializer("token", waves([4])),
    ],
    nodes: [
      ...constants,
      node("MatMul", ["x", "w"], ["h"]),
      ...nodes,
      node("ReduceMax", ["z", "ones"], ["y"], [int("keepdims", 0)]),
    ],
    opset: 20,
  });
  return { bytes, alone: chosen.every(([alone]) => alone) };
}

it("is read if each row is computed alone, and refused if not", async () => {
  const random = xoroshiro128plus(7);
  const below = (n: number) => uniformInt(random, 0, n - 1);
  for (let k = 0; k < 150; k++) {
    const { bytes, alone } = draw(below);
    if (!alone) {
      expect(() => modelOf(bytes, "m.onnx", {})).toThrow(PergradError);
      continue;
    }
    const read = encoded(modelOf(bytes, "m.onnx", {}));
    const samples = 1 + below(4);
    const picked = Uint8Array.from({ length: 5 * samples }, () => below(2));
    const feeds = { x: waves([samples, 5, 4]), mask: { dtype: "bool" as const, dims: [samples, 5], data: picked } };
    const [found, expected] = [(await run(read, feeds)).y, (await run(bytes, feeds)).y] as [Tensor, Tensor];
    expect(found.dims).toEqual(expected.dims);
    expect(relativeError(found, expected)).toBeLessThan(1e-5);
  }
});
