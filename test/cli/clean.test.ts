/** pergrad clean: how it reads its data. */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { tensor, writeTensors } from "../../src/index.js";
import { uniform } from "../../src/nn/initial-values.js";
import { trace } from "../../src/nn/model.js";
import { floats, labels, linear, readBy, workspace } from "./support.js";

it("reads a file in parts, and writes the table that it writes of data in memory", async () => {
  const [samples, width] = [640, 4000];
  const model = trace({ x: ["N", width] }, { weight: uniform([width, 2], 1) }, ({ x }, { weight }) => x.matmul(weight));
  const x = floats([samples, width], (k) => Math.sin(1 + 1.7 * k + Math.floor(k / width)) / 9);
  const { command, path } = await workspace(model, {
    x,
    target: labels(...Array.from({ length: samples }, (_, n) => n % 2)),
  });
  const options = ["--loss", "cross_entropy", "--dims", "16", "--out"];
  const read = await readBy(path("data.safetensors"), async () => {
    expect(await command("clean", ...options, path("parts.csv"))).toMatchObject({ code: 0 });
  });
  const size = statSync(path("data.safetensors")).size;
  expect(read.all).toBeGreaterThan(size);
  expect(read.most).toBeLessThan(size / 2);
  expect(await command("clean", ...options, path("held.csv"), "--report", path("page.html"))).toMatchObject({
    code: 0,
  });
  expect(readFileSync(path("parts.csv"), "utf8")).toBe(readFileSync(path("held.csv"), "utf8"));
});

describe("a page whose numbers would have the table's name", () => {
  const data = { x: floats([6, 3]), target: labels(0, 1, 0, 1, 1, 0) };

  it("takes the table for its own numbers: pergrad clean MODEL --data D --loss L --report R.html --out R.csv", async () => {
    const { command, path, files } = await workspace(linear(), data);
    const options = ["--loss", "cross_entropy", "--report", path("R.html"), "--out", path("R.csv")];
    // The second run writes over its own files.
    for (let k = 0; k < 2; k++) {
      const { code, out, err } = await command("clean", ...options);
      expect({ code, err }).toEqual({ code: 0, err: "" });
      expect(out).toContain(`wrote ${path("R.csv")}, ${path("R.html")}, ${path("R.json")}: 6 samples`);
    }
    expect(files()).toEqual(["R.csv", "R.html", "R.json", "data.safetensors", "model.onnx"]);
    const [header] = readFileSync(path("R.csv"), "utf8").split("\n");
    expect(header).toMatch(/^sample,label_score,.*suggested_label/);
    expect(readFileSync(path("R.html"), "utf8")).toContain('<a href="R.csv" download>R.csv</a>');
    await command("clean", "--loss", "cross_entropy", "--out", path("alone.csv"));
    expect(readFileSync(path("R.csv"), "utf8")).toBe(readFileSync(path("alone.csv"), "utf8"));
  });

  it("does so with JSON too, and leaves its CSV to the page", async () => {
    const { command, path } = await workspace(linear(), data);
    const options = ["--loss", "cross_entropy", "--report", path("R.html"), "--out", path("R.json")];
    expect(await command("clean", ...options)).toMatchObject({ code: 0, err: "" });
    expect(JSON.parse(readFileSync(path("R.json"), "utf8"))).toHaveLength(6);
    expect(readFileSync(path("R.csv"), "utf8")).toMatch(/^sample,.*norm,loss/);
  });
});

describe("a page shows the model that is scored", () => {
  const data = { x: floats([12, 3]), target: labels(0, 1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0) };
  const columns = ["label", "predicted_label", "suggested_label", "loss", "norm", "label_score", "outlier_score"];

  /** These columns of a CSV. */
  function read(file: string): number[][] {
    const [header = "", ...lines] = readFileSync(file, "utf8").trim().split("\n");
    const places = columns.map((name) => header.split(",").indexOf(name));
    expect(places).not.toContain(-1);
    return lines.map((line) => places.map((place) => Number(line.split(",")[place])));
  }

  it.each([
    ["trained here", ["--epochs", "3", "--batch-size", "4", "--learning-rate", "0.5"]],
    ["of the last checkpoint", ["--checkpoint", "first.npz", "--checkpoint", "last.npz"]],
  ])("%s", async (_, given) => {
    const model = linear();
    const { command, path } = await workspace(model, data);
    const times = (factor: number) =>
      Object.fromEntries(
        Object.entries(model.parameters).map(([name, { dims, data: numbers }]) => [
          name,
          tensor(
            "float32",
            dims,
            numbers.map((x) => factor * x),
          ),
        ]),
      );
    await writeTensors(path("first.npz"), times(2));
    await writeTensors(path("last.npz"), times(-3));
    const options = given.map((word) => (word.endsWith(".npz") ? path(word) : word));
    const out = ["--report", path("R.html"), "--out", path("table.csv")];
    expect(await command("clean", "--loss", "cross_entropy", ...options, ...out)).toMatchObject({ code: 0, err: "" });
    expect(read(path("R.csv"))).toEqual(read(path("table.csv")));
  });
});

describe("what a page cannot show is refused before anything is computed or written", () => {
  const data = { x: floats([6, 3]), target: labels(0, 1, 0, 1, 1, 0) };

  it.each<readonly [string[], RegExp]>([
    [["--class-names", "cat,dog,cow"], /^pergrad: --class-names has 3 names, but the model has 2 classes; give one/],
    [["--class-names", "cat"], /--class-names has 1 name, but the model has 2 classes/],
    [["--texts", "T", "--show", "table"], /shows each sample as a row of numbers, so it does not use --texts/],
    [["--texts", "T", "--rate", "8000"], /shows each sample as a sound, so it does not use --texts/],
    [["--rate", "8000", "--show", "none"], /its number and name only, so it does not use --rate; .* give --show sound/],
    [["--show", "text"], /Samples have no texts to show; give a text for each \(--texts\)/],
    [["--show", "image"], /No input looks like images/],
    [["--show", "sound"], /give it, such as --rate 16000/],
  ])("%j", async (options, message) => {
    const { command, path, files } = await workspace(linear(), data);
    const texts = path("texts.txt");
    writeFileSync(texts, "a\nb\nc\nd\ne\nf\n");
    const before = files();
    const given = options.map((word) => (word === "T" ? texts : word));
    for (const out of [["clean", "--out", path("R.csv")], ["report"]] as const) {
      const [name, ...rest] = out;
      const ended = await command(name, "--loss", "cross_entropy", ...rest, "--report", path("R.html"), ...given);
      expect(ended).toMatchObject({ code: 2, out: "", err: expect.stringMatching(message) });
      expect(ended.err).toContain(`(see pergrad ${name} --help)`);
    }
    expect(files()).toEqual(before);
  });

  it("names of classes, where the loss has none", async () => {
    const { command, path, files } = await workspace(linear(), { ...data, target: floats([6, 2]) });
    const options = ["--loss", "mse", "--class-names", "a,b", "--report", path("R.html")];
    const { code, err } = await command("report", ...options);
    expect({ code, err }).toEqual({ code: 2, err: expect.stringMatching(/not one class label per sample/) });
    expect(files()).toEqual(["data.safetensors", "model.onnx"]);
  });
});

describe("options that have no effect are refused", () => {
  const data = { x: floats([6, 3]), target: labels(0, 1, 0, 1, 1, 0) };

  it.each<readonly [string[], RegExp]>([
    [["--optimizer", "sgd"], /--optimizer is for training the model here; give --epochs too, or leave it out/],
    [["--learning-rate", "1"], /--learning-rate is for training the model here/],
    [["--weight-decay", "1"], /--weight-decay is for training the model here/],
    [["--schedule", "linear"], /--schedule is for training the model here/],
    [["--warm-up", "2"], /--warm-up is for training the model here/],
    [["--folds", "2"], /--folds is for training the model here/],
    [["--neighbours", "6"], /--neighbours 6 is too many for 6 samples; give at most 5/],
  ])("%j", async (options, message) => {
    const { command, path, files } = await workspace(linear(), data);
    const ended = await command("clean", "--loss", "cross_entropy", "--out", path("R.csv"), ...options);
    expect(ended).toMatchObject({ code: 2, out: "", err: expect.stringMatching(message) });
    expect(files()).toEqual(["data.safetensors", "model.onnx"]);
  });
});
