/** Damaged files: an error of the catalogue or a model, never another exception, never a hang. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PergradError } from "../../src/errors.js";
import { decode, encoded } from "./models.js";

const models = [
  "weight_normed",
  "conv2d_stride",
  "cumulative_slice_concat",
  "self_attention",
  "conv_avgpool",
  "group_norm",
  "lstm",
  "embedding_seq",
  "vit_tiny",
];
const read = (name: string) => new Uint8Array(readFileSync(new URL(`../goldens/${name}/model.onnx`, import.meta.url)));

/** Decodes and, where that succeeds, encodes. */
function attempt(bytes: Uint8Array): "refused" | "loaded" {
  try {
    encoded(decode(bytes));
    return "loaded";
  } catch (error) {
    if (error instanceof PergradError && /\S/.test(error.message)) return "refused";
    throw error;
  }
}

describe.each(models)("%s", (name) => {
  const whole = read(name);

  it("is refused wherever it is cut off", () => {
    for (let length = 0; length < whole.length; length += Math.ceil(whole.length / 3000)) {
      expect(attempt(whole.subarray(0, length)), `${length} of ${whole.length} bytes`).toBe("refused");
    }
  });

  it("survives flipped bytes", () => {
    const flips = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 });
    const survives = fc.property(flips, (damage) => {
      const bytes = whole.slice();
      for (const [at, value] of damage) bytes[at] = value;
      attempt(bytes);
    });
    fc.assert(survives, { numRuns: 1500, seed: 7 });
  });

  it("survives bytes put in and left out", () => {
    const edits = fc.tuple(fc.nat(whole.length), fc.nat(40), fc.uint8Array({ maxLength: 40 }));
    const survives = fc.property(edits, ([at, removed, added]) => {
      attempt(Uint8Array.from([...whole.subarray(0, at), ...added, ...whole.subarray(at + removed)]));
    });
    fc.assert(survives, { numRuns: 300, seed: 11 });
  });
});

it("noise is refused", () => {
  const noise = fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
    expect(attempt(bytes)).toBe("refused");
  });
  fc.assert(noise, { numRuns: 2000, seed: 3 });
});
