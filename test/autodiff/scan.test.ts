/** What a loop over positions costs before it runs: the same, however many positions there are. */
import { fromBinary } from "@bufbuild/protobuf";
import { type GraphProto, ModelProtoSchema } from "onnx-buf";
import { describe, expect, it } from "vitest";
import * as nn from "../../src/nn/index.js";
import { losses } from "../../src/nn/losses.js";
import { want } from "../../src/plan/want.js";
import { perSample } from "../../src/program/program.js";

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
  it("is of the same number of nodes for 16 positions and for 1024", async () => {
    const [short, long] = [await classifierOf(kind, 16), await classifierOf(kind, 1024)];
    expect(long.nodes).toBe(short.nodes);
    // Sizes written with more digits.
    expect(long.bytes).toBeLessThan(short.bytes * 1.02 + 200);
  });
});
