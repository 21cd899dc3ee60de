/**
 * scikit-learn's models as skl2onnx exports them, and single nodes of ai.onnx.ml: what pergrad reads computes what ONNX
 * Runtime computes, and its per-sample gradients are those of the float64 loop (`scripts/classic-cases.py` wrote the files).
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { AttributeProto_AttributeType as Kind, ModelProtoSchema } from "onnx-buf";
import { describe, expect, it } from "vitest";
import { Oracle } from "../../src/check/oracle.js";
import { objectiveOf } from "../../src/compile/objective.js";
import { readTensors } from "../../src/io/files.js";
import type { Loss } from "../../src/nn/loss.js";
import { modelOf } from "../../src/onnx/read/model-of.js";
import { perSample } from "../../src/program/per-sample.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { want } from "../../src/wants/want.js";
import { expectAgreement } from "../support/file-agreement.js";
import { expectClose } from "../support/per-sample.js";
import { relativeError } from "./compare.js";
import {
  encoded,
  file,
  float,
  floats,
  initializer,
  int,
  int64s,
  ints,
  node,
  refusal,
  run,
  text,
  valueInfo,
  waves,
} from "./models.js";

type Attribute = ReturnType<typeof int>;

const folder = join(import.meta.dirname, "classic-cases");
const cases = readdirSync(folder).flatMap((each) => (each.endsWith(".onnx") ? [each.slice(0, -5)] : []));

async function load(name: string) {
  const bytes = readFileSync(join(folder, `${name}.onnx`));
  const model = modelOf(bytes, `${name}.onnx`, {});
  const tensors = await readTensors(join(folder, `${name}.npz`));
  const inputs = Object.fromEntries([...tensors].filter(([tensor]) => !tensor.startsWith("out/")));
  return { model, inputs, tensors };
}

/** Squares, so that probabilities need no labels. */
const loss: Loss = {
  name: "squares",
  target: () => null,
  apply: (output) => output.square().mean([...output.value.shape.keys()].slice(1)),
};

const sum: Loss = { ...loss, name: "sum", apply: (output) => output.sum(1) };

function withoutSamples(tensors: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { dims, data, ...rest }]) => [
      name,
      { ...rest, dims: [0, ...dims.slice(1)], data: data.slice(0, 0) } as Tensor,
    ]),
  );
}

describe.each(cases)("scikit-learn's %s", (name) => {
  it("gives what ONNX Runtime gives, written in operators of the default domain", async () => {
    const { model, inputs, tensors } = await load(name);
    const bytes = encoded(model);
    expect(fromBinary(ModelProtoSchema, bytes).opsetImport.map(({ domain }) => domain)).toEqual([""]);
    const found = await run(bytes, inputs);
    const wanted = [...tensors].filter(([tensor]) => tensor.startsWith("out/"));
    for (const [tensor, expected] of wanted) {
      const own = found[tensor.slice(4)] as Tensor;
      expect(own.dims).toEqual(expected.dims);
      expect(relativeError(own, expected), tensor).toBeLessThan(2e-6);
    }
    const none = await run(bytes, withoutSamples(inputs));
    for (const output of model.graph.outputs) expect(none[output.name]?.data.length).toBe(0);
  });

  it("has the gradients of the float64 loop", async () => {
    const { model, inputs } = await load(name);
    const wants = { gradients: want.gradients(), norms: want.norms() };
    if (model.graph.parameters.length === 0) return expect(name).toBe("scaler_alone");
    const program = await perSample(model, { loss, want: wants });
    const { gradients } = await program.run(inputs, { allowNotFinite: true });
    const none = await program.run(withoutSamples(inputs));
    await program.release();
    expect(none.norms.total.data.length).toBe(0);
    const oracle = new Oracle(objectiveOf(model, { loss }), inputs);
    const rows = [0, 1, 2].map((sample) => oracle.sample(sample).gradients);
    expect(Object.keys(gradients).length).toBeGreaterThan(0);
    for (const [parameter, { data }] of Object.entries(gradients)) {
      const expected = rows.flatMap((row) => [...(row.get(parameter) as Float64Array)]);
      expectClose(data, expected, 1e-4, parameter, 1e-6);
    }
  });
});

describe("a file of scikit-learn's exporter", () => {
  it("has readable parameters; statistics are constants, unless they are named", async () => {
    const { model } = await load("scaled_logistic");
    expect(Object.keys(model.parameters)).toEqual(["LinearClassifier.coefficients", "LinearClassifier.intercepts"]);
    expect(model.parameters["LinearClassifier.coefficients"]?.dims).toEqual([3, 4]);
    const why = "a statistic of the data, by which features are prepared";
    expect(model.constants).toEqual({ "Scaler.offset": why, "Scaler.scale": why });
    const bytes = readFileSync(join(folder, "scaled_logistic.onnx"));
    const all = modelOf(bytes, "m.onnx", { parameters: ["Scaler.*"] });
    expect(Object.keys(all.parameters)).toEqual(expect.arrayContaining(["Scaler.offset", "Scaler.scale"]));
  });

  it("puts its scores before its labels, and says so, and what became of its maps", async () => {
    const { model } = await load("logistic_three");
    expect(model.graph.outputs.map(({ name }) => name)).toEqual(["output_probability", "output_label"]);
    expect(model.notes).toEqual(
      expect.arrayContaining([
        `The file's outputs that hold labels ("output_label") come after the others: labels have no gradient.`,
        'ZipMap node "ZipMap" makes a map for each sample; "output_probability" is the tensor of its scores instead, in the order of the classes 0, 1, 2.',
      ]),
    );
  });

  it.each(["logistic_three_texts", "mlp_classifier_texts"])("leaves out labels that are texts: %s", async (name) => {
    const { model } = await load(name);
    expect(model.graph.outputs.map((output) => output.name)).toEqual(["output_probability"]);
    expect(model.leftOut?.output_label).toMatch(/texts|string/);
    const bytes = readFileSync(join(folder, `${name}.onnx`));
    expect(refusal(() => modelOf(bytes, "m.onnx", { outputs: ["output_label"] }))).toMatch(/texts|string/);
  });

  it("is the same once it is written and read again", async () => {
    const { model, inputs } = await load("imputed_scaled_ridge");
    const again = modelOf(encoded(model), "again.onnx", {});
    const [first, second] = [await run(encoded(model), inputs), await run(encoded(again), inputs)];
    expect(second).toEqual(first);
    expect(Object.keys(again.parameters)).toEqual(Object.keys(model.parameters));
  });
});

const many = (name: string, ...values: number[]): Attribute => ({ name, type: Kind.FLOATS, floats: values });
const texts = (name: string, ...values: string[]): Attribute => ({
  name,
  type: Kind.STRINGS,
  strings: values.map((value) => new TextEncoder().encode(value)),
});

interface Single {
  readonly inputs?: readonly string[];
  readonly width?: number | "vector";
  readonly outputs?: readonly string[];
  /** Behind x: a weight of the file, so that everything has gradients. */
  readonly trained?: boolean;
}

/** One node of the domain on x `[N, 3]`, maybe scaled by a weight before. */
function single(op: string, attributes: readonly Attribute[], { outputs = ["y"], trained = true }: Single = {}) {
  const scaled = trained ? [node("Mul", ["x", "gain"], ["h"])] : [];
  const ml = { ...node(op, [trained ? "h" : "x"], outputs, attributes), name: "ml", domain: "ai.onnx.ml" };
  const gain = { name: "gain", dims: [3n], dataType: 1, floatData: [0.9, -1.3, 0.45] };
  const bytes = file({
    inputs: [valueInfo("x", ["N", 3])],
    initializers: trained ? [gain] : [],
    nodes: [...scaled, ml],
    outputs: outputs.slice(-1),
  });
  return withMl(bytes);
}

function withMl(bytes: Uint8Array): Uint8Array {
  const model = fromBinary(ModelProtoSchema, bytes);
  const [version] = model.opsetImport;
  if (version) model.opsetImport.push({ ...version, domain: "ai.onnx.ml", version: 3n });
  return toBinary(ModelProtoSchema, model);
}

const x = floats([3, 3], 0.31, -0.2, 0.15, 0.02, 0.44, -0.11, -0.3, 0.12, 0.4);
const one = { x: floats([1, 3], 0.31, -0.2, 0.15) };
const transforms = ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"];
const rows3 = [0.3, -0.2, 0.5, 0.1, 0.25, -0.4, -0.3, 0.2, 0.15];
const scores = { outputs: ["label", "y"] };
const labels = (...values: number[]) => ints("classlabels_ints", values);

type Form = readonly [string, Uint8Array];

/** Scores within (0, 1), where PROBIT is defined, and not near 1/2, where the runtime subtracts nearly equal numbers. */
function linearForms(transform: string): Form[] {
  const post = text("post_transform", transform);
  const three = [many("coefficients", ...rows3), many("intercepts", 0.25, 0.8, 0.75), post];
  const row = [many("coefficients", 0.3, -0.2, 0.5), many("intercepts", 0.25), post];
  const classes = (...attributes: Attribute[]) => single("LinearClassifier", attributes, scores);
  const binary: Form[] = [
    [`one row of two classes, ${transform}`, classes(...row, labels(4, 7))],
    [`one row of two texts, ${transform}`, classes(...row, texts("classlabels_strings", "a", "b"))],
  ];
  return [
    [`LinearRegressor of three targets, ${transform}`, single("LinearRegressor", [...three, int("targets", 3)])],
    [`LinearRegressor of one target, ${transform}`, single("LinearRegressor", row)],
    [`LinearClassifier, ${transform}, multi_class 0`, classes(...three, labels(4, 7, 9), int("multi_class", 0))],
    [`LinearClassifier, ${transform}, multi_class 1`, classes(...three, labels(4, 7, 9), int("multi_class", 1))],
    [`one row without labels, ${transform}`, classes(...row)],
    ...(transform === "PROBIT" ? [] : binary),
  ];
}

const forms: readonly Form[] = [
  ...transforms.flatMap(linearForms),
  ["no intercepts", single("LinearRegressor", [many("coefficients", ...rows3.slice(0, 6)), int("targets", 2)])],
  ...["L1", "L2", "MAX"].map((norm) => [`Normalizer ${norm}`, single("Normalizer", [text("norm", norm)])] as const),
  ["Normalizer by default", single("Normalizer", [])],
  ["Scaler by feature", single("Scaler", [many("offset", 0.1, 0.2, -0.3), many("scale", 2, 0.5, -1)])],
  ["Scaler by one number", single("Scaler", [many("offset", 0.1), many("scale", 2)])],
  ["Imputer of a number", single("Imputer", [many("imputed_value_floats", 5, 6, 7), float("replaced_value_float", 0)])],
  ["Imputer of NaN", single("Imputer", [many("imputed_value_floats", 5), float("replaced_value_float", Number.NaN)])],
  ["Imputer by default", single("Imputer", [many("imputed_value_floats", 5, 6, 7)])],
  ["FeatureVectorizer", single("FeatureVectorizer", [ints("inputdimensions", [2])])],
];

describe("a node of ai.onnx.ml agrees with ONNX Runtime, its gradients with the float64 loop", () => {
  it.each(forms)("%s", async (_, bytes) => {
    await expectAgreement({ bytes, feeds: { x }, samples: 3 });
    await expectAgreement({ bytes, feeds: one, samples: 1 });
    const model = modelOf(bytes, "m.onnx", {});
    const none = await run(encoded(model), { x: floats([0, 3]) });
    expect(none.y?.data.length).toBe(0);
  });

  it.each([1, 7])("OneHotEncoder of numbers as type %i, of which one is unknown", async (type) => {
    const encoder = {
      ...node("OneHotEncoder", ["c"], ["e"], [ints("cats_int64s", [4, 7, 2]), int("zeros", 1)]),
      domain: "ai.onnx.ml",
    };
    const bytes = withMl(
      file({
        inputs: [valueInfo("c", ["N", 2], type)],
        initializers: [initializer("w", waves([6, 2])), initializer("flat", int64s(-1, 6))],
        nodes: [encoder, node("Reshape", ["e", "flat"], ["f"]), node("MatMul", ["f", "w"], ["y"])],
      }),
    );
    const c = type === 7 ? { ...int64s(4, 2, 7, 7, 5, 2), dims: [3, 2] } : floats([3, 2], 4, 2, 7, 7, 5, 2);
    await expectAgreement({ bytes, feeds: { c }, samples: 3 });
  });

  it("where values are missing, zero, or hide in SOFTMAX_ZERO", async () => {
    const gaps = floats([3, 3], 0, Number.NaN, 1, 0, 0, 0, Number.NaN, 2, 0);
    for (const op of ["by feature", "NaN", "number"]) {
      const replaced = op === "NaN" ? Number.NaN : 0;
      const values = op === "by feature" ? [5, 6, 7] : [5];
      const bytes = single(
        "Imputer",
        [many("imputed_value_floats", ...values), float("replaced_value_float", replaced)],
        {
          trained: false,
        },
      );
      const [own, theirs] = [
        await run(encoded(modelOf(bytes, "m.onnx", {})), { x: gaps }),
        await run(bytes, { x: gaps }),
      ];
      expect(own.y).toEqual(theirs.y);
    }
    const zeros = floats([3, 3], 0, 0, 0, -1, -2, -3, 1, 0, -2);
    for (const norm of ["L1", "L2", "MAX"])
      await expectAgreement({ bytes: single("Normalizer", [text("norm", norm)]), feeds: { x: zeros }, samples: 3 });
    const identity = [many("coefficients", 1, 0, 0, 0, 1, 0, 0, 0, 1), int("targets", 3)];
    const some = floats([3, 3], 0, 1, -1, 2, 0, 0, -1, -2, 0);
    const softmaxZero = single("LinearRegressor", [...identity, text("post_transform", "SOFTMAX_ZERO")]);
    await expectAgreement({ bytes: softmaxZero, feeds: { x: some }, samples: 3 });
  });

  it("PROBIT has a derivative at a half, and the runtime's values near the ends", async () => {
    const identity = [many("coefficients", 1, 0, 0), text("post_transform", "PROBIT")];
    const bytes = single("LinearRegressor", identity, { trained: false });
    const p = floats([7, 3], ...[0.5, 0.500001, 0.4, 0.01, 1e-4, 0.9999, 0.61].flatMap((value) => [value, 0, 0]));
    const model = modelOf(bytes, "m.onnx", {});
    const [own, theirs] = [await run(encoded(model), { x: p }), await run(bytes, { x: p })];
    // The runtime subtracts nearly equal numbers around a half.
    expectClose((own.y as Tensor<"float32">).data, [...(theirs.y as Tensor<"float32">).data], 1e-3, "probit", 1e-3);
    const program = await perSample(model, { loss: sum, want: { gradients: want.gradients() } });
    const { gradients } = await program.run({ x: p });
    await program.release();
    const slope = gradients["ml.coefficients"]?.data[0] as number;
    expect(slope).toBeCloseTo(0.5 * Math.SQRT2 * Math.sqrt(Math.PI), 4);
  });

  it("gives the classes' own numbers as labels", async () => {
    const weights = [many("coefficients", ...rows3), many("intercepts", 0.1, 0.5, 0.3), labels(4, 7, 9)];
    const row = [many("coefficients", 1, -2, 1), many("intercepts", -0.1), labels(4, 7)];
    for (const attributes of [weights, row]) {
      const whole = fromBinary(ModelProtoSchema, single("LinearClassifier", attributes, scores));
      const [output] = whole.graph?.output ?? [];
      if (output) whole.graph?.output.push({ ...output, name: "label" });
      const bytes = toBinary(ModelProtoSchema, whole);
      const [own, theirs] = [await run(encoded(modelOf(bytes, "m.onnx", {})), { x }), await run(bytes, { x })];
      expect(own.label).toEqual(theirs.label);
    }
  });
});

describe("what is refused", () => {
  const message = (op: string, attributes: readonly Attribute[], options?: Single) =>
    refusal(() => modelOf(single(op, attributes, options), "m.onnx", {}));

  it("names the node and what does not fit", () => {
    const row = [many("coefficients", 1, 2, 3), many("intercepts", 1)];
    expect(message("LinearRegressor", [many("coefficients", 1, 2, 3), int("targets", 2)])).toBe(
      'INVALID_MODEL: LinearRegressor node "ml" has 3 coefficients, which do not make 2 rows; export the model again.',
    );
    expect(message("LinearRegressor", [many("coefficients", 1, 2)])).toContain("has coefficients of 2 features");
    expect(message("LinearRegressor", [])).toContain('Input 1 of LinearRegressor node "ml" is missing');
    expect(message("LinearRegressor", [...row, text("post_transform", "CUBE")])).toContain(
      'has the post_transform "CUBE"',
    );
    const probit = [...row, labels(0, 1), text("post_transform", "PROBIT")];
    expect(message("LinearClassifier", probit, scores)).toContain("PROBIT of one score for two classes");
    expect(message("Scaler", [many("offset", 1, 2)])).toContain("holds 2 numbers for an input of 3 features");
    expect(message("Normalizer", [text("norm", "L3")])).toContain('has the norm "L3"');
    expect(message("TreeEnsembleRegressor", [])).toContain("ai.onnx.ml.TreeEnsembleRegressor");
    expect(message("OneHotEncoder", [texts("cats_strings", "a", "b")])).toContain(
      'The categories of OneHotEncoder node "ml" are texts',
    );
    const words = [many("coefficients", ...rows3), texts("classlabels_strings", "a", "b", "c")];
    expect(message("LinearClassifier", words, { outputs: ["y"] })).toBe(
      'UNSUPPORTED_OP: The labels of LinearClassifier node "ml" are texts, which pergrad does not compute with; give it an output of scores.',
    );
  });
});
