/** Lengths of padded sequences, and batches of none, in programs with recurrent layers. */
import { describe, expect, it } from "vitest";
import { compile, losses, type Model, nn, perSample, Traced, want } from "../../src/index.js";

const layers = { lstm: nn.lstm, gru: nn.gru, rnn: nn.rnn };
const steps = 5;

function modelOf(kind: keyof typeof layers): Model {
  const layer = layers[kind](3, 4, { bidirectional: true });
  return nn.model(layer.last, { input: { x: ["N", steps, 3], lengths: ["N"] }, seed: 1 });
}

const x = (samples: number) => Float32Array.from({ length: samples * steps * 3 }, (_, k) => Math.sin(k));

describe.each(["lstm", "gru", "rnn"] as const)("%s", (kind) => {
  it("refuses lengths that no sequence has, naming the input and the number", async () => {
    const program = await perSample(modelOf(kind), { loss: losses.mse(), want: { norms: want.norms() } });
    const run = (lengths: Int32Array) =>
      program.run({ x: x(lengths.length), lengths, target: new Float32Array(8 * lengths.length) });
    await run(Int32Array.of(0, steps));
    await expect(run(Int32Array.of(2, steps + 1))).rejects.toThrow(
      'The input "lengths" holds the length 6 at element 1, but sequences have 0 to 5 steps;',
    );
    await expect(run(Int32Array.of(-1))).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await program.release();
  });

  it("takes a batch of none in the forward pass alone", async () => {
    const { graph, parameters } = modelOf(kind);
    const [output] = graph.outputs;
    if (!output) throw new Error("no output");
    const y = new Traced(output.value);
    const program = await compile({ y, total: y.sum() });
    const none = await program.run({ ...parameters, x: x(0), lengths: new Int32Array() });
    expect(none.y.dims).toEqual([0, 8]);
    expect([...none.total.data]).toEqual([0]);
    const two = await program.run({ ...parameters, x: x(2), lengths: Int32Array.of(1, 3) });
    expect(two.y.dims).toEqual([2, 8]);
    await expect(program.run({ ...parameters, x: x(1), lengths: Int32Array.of(9) })).rejects.toThrow(/the length 9/);
    await program.release();
  });
});

it("a model of sequences without steps has gradients", async () => {
  const body = nn.module((input, part) => part.head(part.inner(input).sum(1)), {
    inner: nn.linear(9, 9),
    head: nn.linear(9, 2),
  });
  const model = nn.model(body, { input: { x: ["N", 0, 9] } });
  const program = await perSample(model, { loss: losses.crossEntropy(), want: { norms: want.norms() } });
  const { norms } = await program.run({
    x: { dtype: "float32", dims: [2, 0, 9], data: new Float32Array() },
    target: BigInt64Array.of(0n, 1n),
  });
  // The sum over no steps is zero, so that the loss moves the head's bias alone: by softmax of zeros less the label.
  for (const norm of norms.total.data) expect(norm).toBeGreaterThan(0);
  expect([...(norms.parameters["inner.weight"]?.data ?? [])]).toEqual([0, 0]);
  await program.release();
});
