/** Kernels of each sample's own, by groups: files of any one batch size, taken to any number of samples. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expectAgreement, outputOf, refusalOf } from "../support/file-agreement.js";
import { expectClose } from "../support/per-sample.js";
import { file, initializer, int, int64s, ints, node, tensor, valueInfo, waves } from "./models.js";

interface Kernels {
  readonly op: "Conv" | "ConvTranspose";
  /** The file's batch. */
  readonly N: number;
  /** Groups of each sample, and channels of each group: in and out. */
  readonly g: number;
  readonly I: number;
  readonly O: number;
  readonly k: number;
  readonly stride: number;
  readonly dilation: number;
  readonly pad: number;
}

const size = 5;
const constant = (name: string, ...values: number[]) =>
  node("Constant", [], [name], [tensor("value", int64s(...values))]);

/** Weights scaled by a style of each sample: [N, g, ...] times [N, g, 1, ...]. */
function modulated({ op, N, g, I, O, k, stride, dilation, pad }: Kernels, group = N * g): Uint8Array {
  const [first, second] = op === "Conv" ? [O, I] : [I, O];
  const positions =
    op === "Conv"
      ? Math.floor((size + 2 * pad - (k - 1) * dilation - 1) / stride) + 1
      : (size - 1) * stride + (k - 1) * dilation + 1 - 2 * pad;
  return file({
    inputs: [valueInfo("x", [N, g * I, size]), valueInfo("s", [N, 2])],
    initializers: [initializer("w", waves([g, first, second, k])), initializer("a", waves([2, g]))],
    nodes: [
      node("MatMul", ["s", "a"], ["style"]),
      constant("ones", N, g, 1, 1, 1),
      node("Reshape", ["style", "ones"], ["scale"]),
      node("Mul", ["w", "scale"], ["kernels"]),
      constant("folded", N * g * first, second, k),
      node("Reshape", ["kernels", "folded"], ["kernel"]),
      constant("channels", 1, N * g * I, size),
      node("Reshape", ["x", "channels"], ["images"]),
      node(
        op,
        ["images", "kernel"],
        ["c"],
        [int("group", group), ints("strides", [stride]), ints("dilations", [dilation]), ints("pads", [pad, pad])],
      ),
      constant("back", N, g * O, positions),
      node("Reshape", ["c", "back"], ["y"]),
    ],
  });
}

const feedsOf = ({ g, I }: Kernels, samples: number) => ({
  x: waves([samples, g * I, size]),
  s: waves([samples, 2]),
});

const drawn: fc.Arbitrary<Kernels> = fc.record({
  op: fc.constantFrom("Conv", "ConvTranspose"),
  N: fc.integer({ min: 1, max: 3 }),
  g: fc.integer({ min: 1, max: 2 }),
  I: fc.integer({ min: 1, max: 3 }),
  O: fc.integer({ min: 1, max: 3 }),
  k: fc.integer({ min: 1, max: 3 }),
  stride: fc.integer({ min: 1, max: 2 }),
  dilation: fc.integer({ min: 1, max: 2 }),
  pad: fc.constant(0),
});

const usual: Kernels = { op: "Conv", N: 3, g: 1, I: 2, O: 3, k: 3, stride: 1, dilation: 1, pad: 1 };

describe("a kernel of each sample's own", () => {
  it("gives what the file gives for its own batch, and gradients for any", async () => {
    await fc.assert(
      fc.asyncProperty(drawn, fc.integer({ min: 1, max: 4 }), async (kernels, samples) => {
        for (const count of new Set([samples, kernels.N])) {
          await expectAgreement({
            bytes: modulated(kernels),
            feeds: feedsOf(kernels, count),
            samples: count,
            fixed: kernels.N,
          });
        }
      }),
      { numRuns: 12 },
    );
  });

  it.each<Partial<Kernels>>([{}, { op: "ConvTranspose", stride: 2 }, { g: 2 }, { O: 1, pad: 0 }])(
    "is the same whatever batch the file was written for (%o)",
    async (some) => {
      const kernels = { ...usual, ...some };
      const feeds = feedsOf(kernels, 4);
      const [one, ...others] = await Promise.all([1, 2, 3].map((N) => outputOf(modulated({ ...kernels, N }), feeds)));
      for (const other of others) expectClose(other, one ?? [], 1e-5, "output");
    },
  );

  it("is refused where groups reach over several samples", () => {
    // Two samples in one group: the kernel of each reads the channels of both.
    const why = refusalOf(modulated({ ...usual, N: 2, I: 1, O: 2 }, 1));
    expect(why).toMatch(/^(SAMPLES_INTERACT|SHAPE_MISMATCH|UNSUPPORTED_OP|INVALID_MODEL): /);
  });
});
