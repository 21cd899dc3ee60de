/** What a loop over positions costs before it runs: the same, however many positions there are. */
import { fromBinary } from "@bufbuild/protobuf";
import { type GraphProto, ModelProtoSchema } from "onnx-buf";
import { describe, expect, it } from "vitest";
import { N } from "../../src/graph/dim.js";
import type { Value } from "../../src/graph/value.js";
import * as nn from "../../src/nn/index.js";
import { losses } from "../../src/nn/losses.js";
import { build } from "../../src/ops/registry.js";
import { scan } from "../../src/ops/rules/scan.js";
import { perSample } from "../../src/program/per-sample.js";
import { Traced } from "../../src/trace/traced.js";
import { want } from "../../src/wants/want.js";
import { compareWithLoop } from "../support/per-sample.js";
import { makeCase, type Spec } from "../support/spec.js";

const layers = { lstm: nn.lstm, gru: nn.gru, rnn: nn.rnn };

/** Nodes of a graph and of the bodies in it. */
function nodesIn({ node }: GraphProto): number {
  const bodies = node.flatMap(({ attribute }) => attribute.flatMap(({ g }) => (g ? [g] : [])));
  return node.length + bodies.reduce((sum, body) => sum + nodesIn(body), 0);
}

async function classifierOf(kind: keyof typeof layers, positions: number) {
  const layer = layers[kind](3, 4, { bidirectional: true });
  const model = nn.model(nn.sequential(layer.last, nn.linear(8, 2)), { input: { x: ["N", positions, 3] } });
  const wants = { norms: want.norms(), sum: want.clippedSum({ maxNorm: 1 }), gradients: want.gradients() };
  const program = await perSample(model, { loss: losses.crossEntropy(), want: wants });
  const bytes = program.encode();
  const { graph } = fromBinary(ModelProtoSchema, bytes);
  await program.release();
  return { nodes: graph ? nodesIn(graph) : 0, bytes: bytes.length };
}

describe.each(["lstm", "gru", "rnn"] as const)("%s", (kind) => {
  it("is of the same number of nodes for 4096 positions and for 16384, and of few more than for 16", async () => {
    const [few, many, more] = [
      await classifierOf(kind, 16),
      await classifierOf(kind, 4096),
      await classifierOf(kind, 16384),
    ];
    expect(more.nodes).toBe(many.nodes);
    // Sums over many positions are made in blocks.
    expect(many.nodes - few.nodes).toBeLessThan(40);
    // Sizes written with more digits.
    expect(more.bytes).toBeLessThan(many.bytes * 1.02 + 200);
  });
});

describe("a convolution in the body of a loop", () => {
  const shapeOf = { kernel: [4, 2, 3, 3], recurrent: [4, 4, 3, 3], bias: [4] };
  /** h' = tanh(x * kernel + h * recurrent + bias) over T images, by Scan. */
  const loss = (reverse: boolean, shared: boolean) => (v: Record<string, Traced>) => {
    const value = (name: string) => (v[name] as Traced).value;
    const images = value("x");
    const [, , , height, width] = images.shape as number[];
    const padding = { pads: [1, 1, 1, 1] };
    const { stacked } = scan(
      build,
      { initial: [build.zeros([N, 4, height as number, width as number], "float32")], scanned: [images], reverse },
      ([h], [x]) => {
        const fed = build.op("Conv", [shared ? value("still") : (x as Value), value("kernel"), value("bias")], padding);
        const next = build.op("Tanh", [build.add(fed, build.op("Conv", [h as Value, value("recurrent")], padding))]);
        return { states: [next], results: [next] };
      },
    );
    const all = new Traced(stacked[0] as Value).transpose([1, 0, 2, 3, 4]);
    return all.mul(all).sum([1, 2, 3, 4]);
  };

  it("has weights with the gradients of the loop over samples, however many steps and samples", () => {
    for (const samples of [0, 1, 3])
      for (const steps of [1, 4])
        for (const [reverse, shared] of [
          [false, false],
          [true, false],
          [false, true],
        ] as const) {
          const spec: Spec = {
            samples,
            inputs: {
              x: { shape: [steps, "N", 2, 4, 3], axis: 1 },
              still: { shape: ["N", 2, 4, 3] },
            },
            parameters: shapeOf,
            loss: loss(reverse, shared),
          };
          const kinds = Object.fromEntries(compareWithLoop(makeCase(spec)));
          expect(kinds).toEqual({ kernel: "convolution", recurrent: "convolution", bias: "dense" });
        }
  });
});
