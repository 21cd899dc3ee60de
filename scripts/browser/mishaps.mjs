// What the inspector does with files that people drop by mistake, and without its server.
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nn, saveModel, tensor, writeTensors } from "../../dist/src/index.js";
import { serve } from "../../inspector/build.mjs";

const floats = (dims) =>
  tensor(
    "float32",
    dims,
    Float32Array.from({ length: dims.reduce((size, dim) => size * dim, 1) }, (_, i) => Math.sin(i)),
  );
const labels = (samples, of) =>
  tensor(
    "int64",
    [samples],
    BigInt64Array.from({ length: samples }, (_, n) => BigInt(of(n))),
  );

/** Each with the files, and the message that is expected: of a problem, or of the state. */
const cases = [
  [
    "data of another shape",
    ["small.onnx", "wide.safetensors"],
    /\[10, 3\].*\[N, 2\]; choose another tensor, or drop data/,
  ],
  ["data of another model", ["words.onnx", "right.safetensors"], /"x" takes whole numbers, but the tensor holds 0\.8/],
  [
    "labels out of range",
    ["small.onnx", "labels.safetensors"],
    /the label 2 of sample 2 .*; choose another target or loss/,
  ],
  ["NaN in the data", ["small.onnx", "nan.safetensors"], /NaN or infinity, first in sample 1; correct the data/],
  ["too few labels", ["small.onnx", "few.safetensors"], /The target holds 7 samples, but "x" holds 10/],
  ["an empty table", ["small.onnx", "empty.csv"], /"empty\.csv" is empty/],
  ["a table of a header alone", ["small.onnx", "header.csv"], /holds no samples/],
  ["a table with an open quote", ["small.onnx", "quote.csv"], /"quote\.csv" is not a readable table: Quote Not Closed/],
  ["a table of one column", ["small.onnx", "column.csv"], /fewer tensors than the model has inputs/],
  ["a format that the page does not read", ["x.parquet"], /"x\.parquet" can only hold weights.*Now drop the model/],
  ["an image that is none", ["picture.onnx", "0.png"], /"0\.png" is not an image/],
  ["a file of 3 GiB", ["huge.safetensors"], /"huge\.safetensors" takes 3\.0 GiB, more than the 2\.0 GiB/],
  ["a table of 1 GiB", ["huge.csv"], /"huge\.csv" takes 1\.0 GiB, more than the 0\.5 GiB/],
  ["a model of 3 GiB", ["huge.onnx"], /"huge\.onnx" takes 3\.0 GiB/],
];

async function writeFiles(folder) {
  const at = (name) => join(folder, name);
  await saveModel(nn.model(nn.sequential(nn.linear(2, 8), nn.tanh(), nn.linear(8, 2))), at("small.onnx"));
  await saveModel(
    nn.model(nn.sequential(nn.embedding(9, 4), nn.flatten(), nn.linear(8, 2)), {
      input: { x: { dtype: "int64", shape: ["N", 2] } },
    }),
    at("words.onnx"),
  );
  await saveModel(
    nn.model(nn.sequential(nn.conv2d(1, 2, 3), nn.flatten(), nn.linear(72, 2)), { input: { x: ["N", 1, 8, 8] } }),
    at("picture.onnx"),
  );
  await saveModel(nn.model(nn.sequential(nn.linear(2, 1))), at("line.onnx"));
  const right = { x: floats([10, 2]), target: labels(10, (n) => n % 2) };
  await writeTensors(at("right.safetensors"), right);
  await writeTensors(at("wide.safetensors"), { ...right, x: floats([10, 3]) });
  await writeTensors(at("labels.safetensors"), { ...right, target: labels(10, (n) => n % 5) });
  await writeTensors(at("few.safetensors"), { ...right, target: labels(7, () => 0) });
  await writeTensors(at("nan.safetensors"), {
    ...right,
    x: tensor("float32", [10, 2], floats([10, 2]).data.with(3, NaN)),
  });
  const many = 130_000;
  await writeTensors(at("many.safetensors"), { x: floats([many, 2]), target: labels(many, () => 0) });
  const texts = {
    "empty.csv": "",
    "header.csv": "a,b,label\n",
    "quote.csv": 'a,b,label\n"1,2,0\n',
    "column.csv": "a\n1\n2\n",
    "line.csv": "a;b;y\n1;2;0.5\n2;3;1.5\n3;5;4\n",
    "x.parquet": "PAR1",
    "0.png": "no picture",
  };
  for (const [name, text] of Object.entries(texts)) writeFileSync(at(name), text);
  for (const [name, gigabytes] of Object.entries({ "huge.safetensors": 3, "huge.csv": 1, "huge.onnx": 3 })) {
    writeFileSync(at(name), "");
    truncateSync(at(name), gigabytes * 2 ** 30);
  }
}

const reload = async (page) => {
  await page.goto(page.url());
  await page.waitForLoadState("networkidle");
};

/** @param attempt runs a test by name; it fails if the function throws */
export async function testOddFiles(page, folder, attempt) {
  await writeFiles(folder);
  const drop = (names) =>
    page.setInputFiles(
      "#files",
      names.map((name) => join(folder, name)),
    );
  const said = () =>
    page.evaluate(() => ["problem", "status"].map((id) => document.getElementById(id).textContent).join(" "));
  for (const [name, files, expected] of cases)
    await attempt(`says what is wrong with ${name}`, async () => {
      await reload(page);
      await drop(files);
      const heard = ([source]) => {
        const texts = ["problem", "status"].map((id) => document.getElementById(id).textContent);
        return new RegExp(source).test(texts.join(" "));
      };
      await page.waitForFunction(heard, [expected.source], { timeout: 30_000 }).catch(async () => {
        throw new Error(await said());
      });
      if (await page.isVisible("#results")) throw new Error("results are shown all the same");
    });
  await attempt("after a mistake, the right files are measured", async () => {
    await drop(["small.onnx", "right.safetensors"]);
    await page.waitForSelector("#results:not([hidden]):not([aria-busy])", { timeout: 30_000 });
    if ((await page.textContent("#problem")) !== "") throw new Error(await page.textContent("#problem"));
  });
  // More than a function takes arguments.
  await attempt("130,000 samples of one class", async () => {
    await drop(["small.onnx", "many.safetensors"]);
    await page.waitForSelector("#results:not([hidden]):not([aria-busy]), #problem:not(:empty)", { timeout: 120_000 });
    if (!/130000/.test(await page.textContent("#classes"))) throw new Error(await page.textContent("#problem"));
  });
  await attempt("a quantity for each sample, in a table with semicolons", async () => {
    await reload(page);
    await drop(["line.onnx", "line.csv"]);
    await page.waitForSelector("#results:not([hidden]):not([aria-busy]), #problem:not(:empty)", { timeout: 30_000 });
    if ((await page.textContent("#problem")) !== "") throw new Error(await page.textContent("#problem"));
    const loss = await page.inputValue("[name=loss]");
    if (loss !== "mse") throw new Error(`the loss is ${loss}`);
    if (!/3 samples/.test(await page.textContent("#summary"))) throw new Error(await page.textContent("#summary"));
  });
}

/** A page that was opened once needs its server no more: neither for a second model, nor when it is opened again. */
export async function testOffline(browser, built, folder, attempt) {
  const server = await serve(built, 0);
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null, null, { timeout: 60_000 });
  await new Promise((done) => {
    server.close(done);
    server.closeAllConnections();
  });
  const measure = async (names) => {
    await page.setInputFiles(
      "#files",
      names.map((name) => join(folder, name)),
    );
    await page.waitForSelector("#results:not([hidden]):not([aria-busy]), #problem:not(:empty)", { timeout: 60_000 });
    if ((await page.textContent("#problem")) !== "") throw new Error(await page.textContent("#problem"));
  };
  await attempt("works without its server, once it was opened", async () => {
    await measure(["small.onnx", "right.safetensors"]);
    await measure(["line.onnx", "line.csv"]);
    await page.reload();
    await measure(["digits.onnx", "digits.safetensors"]);
  });
  await page.close();
}
