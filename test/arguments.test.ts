/** Plain JavaScript: what its users get wrong is said in one sentence that tells what to do, and never a raw TypeError. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { setFlagsFromString } from "node:v8";
import * as ort from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as pergrad from "../src/index.js";
import { encoded, linear } from "./cli/support.js";

/** The library as JavaScript sees it: without types. */
// biome-ignore lint/suspicious/noExplicitAny: what is tested is what no type checker sees
const js: any = pergrad;
const { losses, want, nn } = js;

const folder = mkdtempSync(join(tmpdir(), "pergrad-test-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, "model.onnx");
const bytes = encoded(linear());
const loss = losses.crossEntropy();
const norms = { norms: want.norms() };
const x = Float32Array.from({ length: 12 }, (_, k) => Math.sin(1 + k));
const target = [0, 1, 1, 0];
const data = { x, target };
// biome-ignore lint/suspicious/noExplicitAny: as above
let model: any;
// biome-ignore lint/suspicious/noExplicitAny: as above
let program: any;

beforeAll(async () => {
  writeFileSync(path, bytes);
  model = await js.loadModel(path);
  program = await js.perSample(model, { loss, want: norms });
});

const session = () => ort.InferenceSession.create(bytes);
const learning = { loss, optimizer: js.adam(), epochs: 1, batchSize: 2 };
const private_ = { ...learning, maxNorm: 1, delta: 1e-5 };
const mechanism = { kind: "gaussian", noiseMultiplier: 1, samplingRate: 0.1, steps: 10 };

describe("what is said", () => {
  it.each<readonly [string, () => unknown, RegExp]>([
    ["no options", () => js.perSample(model), /perSample\(model, options\) takes an object of options.*not undefined/],
    ["no loss", () => js.perSample(model, { want: norms }), /The loss is missing; give one of losses/],
    [
      "a loss misspelt",
      () => js.perSample(model, { loss: "crossentropi", want: norms }),
      /did you mean "cross_entropy"/,
    ],
    ["no such loss", () => js.perSample(model, { loss: "f", want: norms }), /the losses are cross_entropy, nll/],
    ["a loss not called", () => js.perSample(model, { loss: losses.mse, want: norms }), /call it: losses\.mse\(\)/],
    ["a number as loss", () => js.perSample(model, { loss: 3, want: norms }), /The loss cannot be 3; give one/],
    ["no want", () => js.perSample(model, { loss }), /The wants are missing; say what to compute/],
    ["wants", () => js.perSample(model, { loss, wants: norms }), /no option "wants"; did you mean "want"\?/],
    ["a want not called", () => js.perSample(model, { loss, want: { a: want.norms } }), /call it: want\.norms\(\)/],
    ["a want without a name", () => js.perSample(model, { loss, want: want.norms() }), /needs a name of its own/],
    ["a want with an empty name", () => js.perSample(model, { loss, want: { "": want.sum() } }), /has an empty name/],
    [
      "names of wants that run into each other",
      () => js.perSample(model, { loss, want: { "a/b": want.sum(), a: want.mean() } }),
      /"a\/b" begins with "a\/", which results of the want "a" begin with; rename one/,
    ],
    ["a want by name", () => js.perSample(model, { loss, want: { a: "sum" } }), /make it with .* want\.sum\(\)/],
    ["a name as want", () => js.perSample(model, { loss, want: "norms" }), /not "norms"/],
    ["an option misspelt", () => js.perSample(model, { loss, want: norms, memorybudget: 1 }), /mean "memoryBudget"/],
    ["one glob", () => js.perSample(model, { loss, want: norms, parameters: "w*" }), /write \["w\*"\]/],
    ["a model not awaited", () => js.perSample(js.loadModel(path), { loss, want: norms }), /a promise; await it first/],
    [
      "a program not awaited",
      () => js.perSample(model, { loss, want: norms }).run(data),
      /write \(await perSample\(...\)\)\.run/,
    ],
    ["a run not awaited", () => program.run(data).norms, /write \(await program\.run\(...\)\)\.norms instead/],
    ["a path as model", () => js.perSample(path, { loss, want: norms }), /await loadModel\(".*model\.onnx"\)/],
    ["a URL as model", () => js.perSample(pathToFileURL(path), { loss, want: norms }), /await loadModel\("file:/],
    ["bytes as model", () => js.perSample(bytes, { loss, want: norms }), /await loadModel\(bytes\)/],
    ["a session as model", async () => js.perSample(await session(), { loss, want: norms }), /does not show its graph/],
    ["nothing to load", () => js.loadModel(), /the path of an \.onnx file or its bytes, not undefined/],
    ["a file of the web", () => js.loadModel("https://a.b/m.onnx"), /download it first/],
    ["an option of loading", () => js.loadModel(path, { sampleaxes: {} }), /did you mean "sampleAxes"/],
    ["no data", () => program.run(), /by name, as \{ x, target \}/],
    ["data in order", () => program.run([x, target]), /by name, as \{ x, target \}/],
    ["a path as data", () => program.run("data.npz"), /by name, as \{ x, target \}/],
    ["labels for the target", () => program.run({ x, labels: target }), /no input "labels"; did you mean "target"/],
    ["a text", () => program.run({ x: "x", target }), /The input "x" cannot be "x"; give a typed array/],
    ["a promise", () => program.run({ x: Promise.resolve(x), target }), /"x" is a promise; await it first/],
    ["nested arrays", () => program.run({ x: [[1, 2, 3]], target: [0] }), /"x" is an array of arrays; flatten it/],
    ["texts as labels", () => program.run({ x, target: ["a", "b", "c", "d"] }), /holds "a"; give only numbers/],
    ["holes", () => program.run({ x, target: [0, undefined, 1, 1] }), /holds undefined; give only numbers/],
    ["shape for dims", () => program.run({ x: { dtype: "float32", shape: [4, 3], data: x }, target }), /without dims/],
    ["a dtype", () => program.run({ x: { dtype: "float", dims: [4, 3], data: x }, target }), /did you mean "float32"/],
    ["too few elements", () => program.run({ x: { dtype: "float32", dims: [5, 3], data: x }, target }), /hold 15/],
    [
      "another array",
      () => program.run({ x: { dtype: "float32", dims: [4, 3], data: Float64Array.from(x) }, target }),
      /give a Float32Array/,
    ],
    ["an option of a run", () => program.run(data, { allowNotfinite: true }), /did you mean "allowNotFinite"/],
    ["no dataset", () => program.runAll(3), /A dataset must be .*, not 3/],
    ["nowhere to save", () => program.save(), /give the name of an \.onnx file/],
    ["saving in the wrong order", () => js.saveModel("m.onnx", model), /saveModel takes a model, not "m\.onnx"/],
    ["a clipped sum without norm", () => want.clippedSum(), /takes an object of options, such as \{ maxNorm/],
    ["maxnorm", () => want.clippedSum({ maxnorm: 1 }), /did you mean "maxNorm"/],
    ["maxNorm left out", () => want.clippedSum({}), /maxNorm must be a number, .*, not undefined/],
    ["ignore_index", () => losses.crossEntropy({ ignore_index: 0 }), /did you mean "ignoreIndex"/],
    ["lr", () => js.sgd({ lr: 1 }), /no option "lr"; its options are learningRate/],
    ["a number for options", () => js.sgd(0.1), /takes an object of options, .* not 0\.1/],
    ["no rate", () => js.sgd({}), /learningRate must be a number, .*, not undefined/],
    ["no optimizer", () => js.train(model, data, { ...learning, optimizer: undefined }), /The optimizer is missing/],
    ["a misspelt optimizer", () => js.train(model, data, { ...learning, optimiser: 1 }), /did you mean "optimizer"/],
    [
      "an optimizer not called",
      () => js.train(model, data, { ...learning, optimizer: js.adam }),
      /function adam; call it/,
    ],
    [
      "ordinary training with noise",
      () => js.train(model, data, { ...learning, noiseMultiplier: 1 }),
      /has no option "noiseM/,
    ],
    ["training a promise", () => js.train(js.loadModel(path), data, learning), /a promise; await it first/],
    ["epsilon", () => js.trainPrivately(model, data, { ...private_, epsilon: 3 }), /did you mean "targetEpsilon"/],
    ["checking without options", () => js.check(model, data), /takes an object of options/],
    ["checking a promise", () => js.check(js.loadModel(path), data, { loss }), /a promise; await it first/],
    ["validating a path", () => js.validate(path), /validate takes a model/],
    ["one mechanism", () => js.privacy.epsilon(mechanism, { delta: 1e-5 }), /must be an array, not an object/],
    ["no delta", () => js.privacy.epsilon([mechanism]), /takes an object of options/],
    ["a layer not called", () => nn.sequential(nn.linear(3, 2), nn.relu), /such as nn\.relu\(\)/],
    ["layers as an array", () => nn.sequential([nn.linear(3, 2)]), /one by one, nn\.sequential\(\.\.\.layers\)/],
    ["nothing to compile", () => js.compile(), /by names of your own, .* as in compile\(\{ y \}\)/],
    ["a number to compile", () => js.compile({ y: 3 }), /The expression "y" is 3; give a traced tensor/],
    ["a text to add", () => js.input("x", ["N", 3]).add("a"), /Add: .*"a"/],
    ["a tensor in another order", () => js.tensor([2], "float32", x), /a dtype, dimensions and data/],
    ["a tensor of another array", () => js.tensor("float32", [1], Float64Array.of(1)), /holds a Float32Array/],
  ])("of %s", async (_, wrong, message) => {
    const error = await Promise.resolve()
      .then(wrong)
      .then(
        () => "no error",
        (thrown: unknown) => thrown,
      );
    expect(error).toBeInstanceOf(pergrad.PergradError);
    expect(error).toHaveProperty("message", expect.stringMatching(message));
    expect(error).toHaveProperty("message", expect.stringMatching(/^[^\n]+[.?]$/));
  });
});

describe("what is taken", () => {
  const total = (found: { norms: { total: { data: Float32Array } } }) => [...found.norms.total.data];
  it("losses by name, in any spelling", async () => {
    const expected = total(await program.run(data));
    for (const name of ["cross_entropy", "crossEntropy", "cross-entropy"]) {
      const named = await js.perSample(model, { loss: name, want: norms });
      expect(total(await named.run(data))).toEqual(expected);
      await named.release();
    }
    expect((await js.check(model, data, { loss: "cross_entropy" })).passed).toBe(true);
    expect((await js.train(model, data, { ...learning, loss: "cross_entropy" })).state.steps).toBe(2);
  });
  it("a file's path, its URL, its bytes in either form", async () => {
    const expected = [...model.parameters.weight.data];
    const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    for (const source of [pathToFileURL(path), pathToFileURL(path).href, bytes, buffer])
      expect([...(await js.loadModel(source)).parameters.weight.data]).toEqual(expected);
  });
  it("tensors of ONNX Runtime, bigints, and plain arrays", async () => {
    const expected = total(await program.run(data));
    const own = new ort.Tensor("float32", x.slice(), [4, 3]);
    const labels = new ort.Tensor("int64", BigInt64Array.from(target, BigInt), [4]);
    expect(total(await program.run({ x: own, target: labels }))).toEqual(expected);
    expect(total(await program.run({ x: own, target: target.map(BigInt) }))).toEqual(expected);
    expect(total(await program.run({ x: { dtype: "float32", dims: [4, 3], data: [...x] }, target }))).toEqual(expected);
    // Taken at the call, as everything is, also where it takes several turns.
    const parts = program.run({ x: own, target: labels }, { microbatchSize: 1 });
    own.data.fill(9);
    expect(total(await parts)).toEqual(expected.map((norm) => expect.closeTo(norm, 5)));
  });
});

it("gives the promises of all runs one hidden class: with one for each, streams took twice the time", async () => {
  const program = await js.perSample(await js.loadModel(path), { loss, want: { a: want.norms() } });
  const runs = [program.run(data), program.run(data)];
  await Promise.all(runs);
  setFlagsFromString("--allow-natives-syntax");
  const sameHiddenClass = new Function("a", "b", "return %HaveSameMap(a, b)");
  expect(sameHiddenClass(...runs)).toBe(true);
  program.release();
});
