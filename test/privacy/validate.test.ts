import { describe, expect, it } from "vitest";
import { nodesBefore } from "../../src/graph/walk.js";
import { check, loadModel, losses, type Model, nn } from "../../src/index.js";
import { replaceBatchNorm } from "../../src/privacy/batch-norm.js";
import { validate } from "../../src/privacy/validate.js";
import {
  decode,
  encoded,
  file,
  float,
  floats,
  initializer,
  int,
  int64s,
  node,
  valueInfo,
  waves,
} from "../onnx/models.js";

interface Options {
  readonly training?: 0 | 1;
  readonly more?: readonly ReturnType<typeof node>[];
  readonly outputs?: readonly string[];
  readonly batch?: string | number;
}

/** x [N, 4, 3, 3] -> batch normalisation -> convolution -> batch normalisation -> y [N, 4], the means over positions. */
function network({ training = 1, more = [], outputs = ["y"], batch = "N" }: Options): Model {
  const statistics = ["m", "v"];
  const mode = int("training_mode", training);
  return decode(
    file({
      inputs: [valueInfo("x", [batch, 4, 3, 3])],
      initializers: [
        initializer("w", waves([4, 4, 1, 1])),
        initializer("gain", floats([4], 1, 2, 0.5, 1.5)),
        initializer("offset", floats([4], 0.1, -0.2, 0.3, 0)),
        initializer("m", floats([4], 0, 0.1, 0.2, 0.3)),
        initializer("v", floats([4], 1, 1.1, 1.2, 1.3)),
        initializer("first", int64s(0)),
      ],
      nodes: [
        node("BatchNormalization", ["x", "gain", "offset", ...statistics], training ? ["a", "am", "av"] : ["a"], [
          mode,
          float("epsilon", 1e-3),
        ]),
        node("Conv", ["a", "w"], ["b"]),
        node("BatchNormalization", ["b", "gain", "offset", ...statistics], ["c"], [mode]),
        node("GlobalAveragePool", ["c"], ["p"]),
        node("Flatten", ["p"], ["y"]),
        ...more,
      ],
      outputs: [...outputs],
    }),
  );
}

const nodesOf = (model: Model) => nodesBefore(model.graph.outputs.map(({ value }) => value));
const batchMean = node("ReduceMean", ["y", "first"], ["mean"], [int("keepdims", 1)]);

describe("validate", () => {
  it("finds nothing in what trains privately", () => {
    expect(validate(nn.model(nn.sequential(nn.linear(3, 4), nn.layerNorm(4), nn.relu())))).toEqual([]);
  });

  it("names every batch normalisation in training mode, and the fix", () => {
    const found = validate(network({}));
    expect(found.map(({ severity, node }) => [severity, node])).toEqual([
      ["error", 'BatchNormalization node "a"'],
      ["error", 'BatchNormalization node "c"'],
    ]);
    expect(found[0]?.fix).toContain("replaceBatchNorm");
  });

  it("only warns of stored statistics", () => {
    const found = validate(network({ training: 0 }));
    expect(found.map(({ severity }) => severity)).toEqual(["warning", "warning"]);
    expect(found[0]?.problem).toContain("stored statistics");
  });

  it("finds where samples meet, behind batch normalisations too, but not what follows from it", () => {
    const more = [batchMean, node("Sub", ["y", "mean"], ["centred"]), node("Softmax", ["y"], ["s"], [int("axis", 0)])];
    const model = network({ more, outputs: ["centred", "s"] });
    const found = validate(model).slice(2);
    expect(found.map(({ node }) => node)).toEqual(['ReduceMean node "mean"', 'Softmax node "s"']);
    expect(found[0]?.problem).toContain("over the sample axis");
    expect(validate(model, { outputs: ["s"] }).map(({ node }) => node)).not.toContain('ReduceMean node "mean"');
    expect(() => validate(model, { outputs: ["z"] })).toThrow('no output "z"');
  });
});

it("a model with batch normalisation in training mode is read, and refused with the fix when it is differentiated", async () => {
  for (const batch of ["N", 2]) {
    const model = network({ batch });
    const data = { x: waves([2, 4, 3, 3]), target: floats([2, 4], 0, 0, 0, 0, 0, 0, 0, 0) };
    await expect(check(model, data, { loss: losses.mse() })).rejects.toMatchObject({
      code: "SAMPLES_INTERACT",
      message: expect.stringMatching(/node "a" normalises over the batch.*replaceBatchNorm/),
    });
  }
});

describe("replaceBatchNorm", () => {
  it("gives a model of the same weights whose per-sample gradients are right, also from the file it is saved as", async () => {
    const model = replaceBatchNorm(network({}));
    expect(validate(model)).toEqual([]);
    expect(nodesOf(model).filter(({ op }) => op === "GroupNormalization")).toMatchObject([
      // The greatest common divisor of 4 channels and 32.
      { attributes: { num_groups: 4, epsilon: 1e-3 } },
      { attributes: { num_groups: 4, epsilon: 1e-5 } },
    ]);
    expect(Object.keys(model.parameters).sort()).toEqual(["gain", "offset", "w"]);
    const data = { x: waves([3, 4, 3, 3]), target: waves([3, 4]) };
    for (const each of [model, await loadModel(encoded(model))]) {
      const { passed, parameters } = await check(each, data, { loss: losses.mse() });
      expect(passed).toBe(true);
      expect(parameters.map(({ parameter }) => parameter).sort()).toEqual(["gain", "offset", "w"]);
    }
  });

  it("takes as many groups as asked for", () => {
    const groups = (asked: number) =>
      nodesOf(replaceBatchNorm(network({ training: 0 }), { groups: asked })).flatMap(
        ({ attributes }) => attributes.num_groups ?? [],
      );
    expect(groups(2)).toEqual([2, 2]);
    expect(() => groups(3)).toThrow('3 groups do not divide the 4 channels of BatchNormalization node "a"');
  });

  it("leaves out statistics that were outputs, and leaves other models as they are", () => {
    const model = replaceBatchNorm(network({ outputs: ["y", "am"] }));
    expect(model.graph.outputs.map(({ name }) => name)).toEqual(["y"]);
    expect(model.leftOut.am).toContain("statistic");
    const plain = nn.model(nn.linear(2, 2));
    expect(replaceBatchNorm(plain).graph.outputs).toEqual(plain.graph.outputs);
  });

  it("makes one group of features without positions, and refuses a single one", async () => {
    const features = (count: number) =>
      decode(
        file({
          inputs: [valueInfo("x", ["N", count])],
          initializers: ["g", "o", "m", "v"].map((name) => initializer(name, waves([count]))),
          nodes: [node("BatchNormalization", ["x", "g", "o", "m", "v"], ["y"], [int("training_mode", 1)])],
        }),
      );
    const model = replaceBatchNorm(features(32));
    expect(nodesOf(model)).toMatchObject([{ op: "GroupNormalization", attributes: { num_groups: 1 } }]);
    const data = { x: waves([2, 32]), target: floats([2, 32], ...new Float32Array(64)) };
    expect((await check(model, data, { loss: losses.mse() })).passed).toBe(true);
    expect(() => replaceBatchNorm(features(1))).toThrow("not two elements or more");
    expect(validate(features(1))).toHaveLength(1);
  });
});
