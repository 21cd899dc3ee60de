/** Whatever goes wrong is one sentence, an exit code, and nothing written. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { describe, expect, test, vi } from "vitest";
import { main } from "../../src/cli/main.js";
import { cleaningUp } from "../../src/cli/signals.js";
import { openTensors } from "../../src/io/files.js";
import { capture, encoded, floats, linear, run, workspace } from "./support.js";

const data = { x: floats([5, 3]), target: floats([5, 2]) };
const oneSentence = /^pergrad: [^\n]+[.?]\n$/;

describe("wrong usage exits with 2", () => {
  const model = ["m.onnx", "--data", "d.npz", "--out", "o.npz"];
  const full = [...model, "--loss", "mse"];
  test.each<readonly [string[], RegExp]>([
    [[], /Give a command and a model: .*grads, norms, clipped-sum, project, explain, check/],
    [["help", "me"], /Unknown command 'me'/],
    [["help", "norm"], /Unknown command 'norm'; did you mean norms/],
    [["norm", "--help"], /Unknown command 'norm'; did you mean norms/],
    [["norm", "-h"], /Unknown command 'norm'; did you mean norms/],
    [["--help", "norm"], /Unknown command 'norm'; did you mean norms/],
    [["norm"], /Unknown command 'norm'; did you mean norms/],
    [["model.onnx"], /Unknown command 'model.onnx'/],
    [["grads"], /The model is missing/],
    [["grads", "m.onnx"], /The options --loss <name>, --data <file> and --out <file> must be given/],
    [["grads", "m.onnx", "d.npz"], /give the data with --data/],
    [["grads", ...full, "--los", "mse"], /Unknown option '--los'; did you mean --loss/],
    [["grads", "m.onnx", "--loss"], /--loss <name> lacks its value/],
    [["grads", ...model, "--loss", "crossentropy"], /cannot be "crossentropy": .*; did you mean cross_entropy \(see/],
    [["grads", ...model, "--loss", "frob"], /cannot be "frob": the losses are cross_entropy, /],
    [["grads", ...model, "--loss", "output:"], /cannot be "output:"/],
    [["grads", ...model, "--loss", "toString"], /the losses are/],
    [["grads", "m.onnx", "--out", "grads.pt"], /must end in .safetensors or .npz/],
    [["grads", ...full, "--data", "e.npz"], /^pergrad: Option --data <file> is given twice; give it once/],
    [["grads", ...full, "--loss", "nll"], /Option --loss <name> is given twice/],
    [["train", "m.onnx", "--batch-size", "1", "--batch-size", "2"], /Option --batch-size <B> is given twice/],
    [["train", "m.onnx", "--epochs", "1", "--steps", "2"], /--epochs <E> cannot be used with option --steps <T>/],
    [["train", "m.onnx", "--optimizer", "adamx"], /cannot be "adamx": .*sgd, adam, adamw/],
    [["train", "m.onnx", "--epsilon", "1", "--noise-multiplier", "1"], /--epsilon .* cannot be used with .*--noise-m/],
    [["epsilon", "--steps", "1", "--epochs", "2"], /cannot be used with/],
    [["epsilon", "--sampling-rate", "1", "--batch-size", "2"], /cannot be used with/],
    [["epsilon", "--target-epsilon", "1", "--noise-multiplier", "2"], /cannot be used with/],
    [["epsilon", "--accountant", "prv"], /cannot be "prv": .*pld, rdp, gdp/],
    [["grads", ...full, "--max-norm", "1"], /Unknown option '--max-norm'/],
    [["grads", ...full, "--microbatch-size", "0"], /whole number from 1 up/],
    [["grads", ...full, "--memory-budget", "much"], /size such as 512MB/],
    [["grads", ...full, "--memory-budget", "0GB"], /size such as 512MB/],
    [["grads", ...full, "--threads", "two"], /whole number from 1 to 1024/],
    [["grads", ...full, "--threads", "100000"], /whole number from 1 to 1024/],
    [["grads", ...full, "--memory-budget", "1.5"], /size such as 512MB/],
    [["doctor", "now"], /takes only options; leave out/],
    [["completion", "bash", "zsh"], /takes one argument, <shell>; leave out the others/],
    [["grads", ...full, "--sample-axis", "1"], /NAME=AXIS or NAME=shared/],
    [["grads", ...full, "--sample-axis", "x=one"], /whole number/],
    [["grads", ...full, "--sample-axis", "x=0", "--sample-axis", "x=1"], /"x" is given twice/],
    [["grads", ...full, "--dim", "time=-1"], /whole number from 0 up/],
    [["grads", ...full, "--label-smoothing", "0.1"], /is for --loss cross_entropy, not for mse/],
    [["grads", ...full, "--class-axis", "1"], /--class-axis is for --loss cross_entropy or nll, not for mse/],
    [["grads", ...full, "--ignore-index", "1"], /is for --loss cross_entropy or nll, not for mse/],
    [["grads", ...model, "--loss", "nll", "--label-smoothing", "2"], /number from 0 to 1/],
    [["clipped-sum", ...full], /The option --max-norm <C> must be given/],
    [["clipped-sum", ...full, "--max-norm", "0"], /number above 0/],
    [["clipped-sum", ...full, "--max-norm", "Infinity"], /number above 0/],
    [["clipped-sum", ...full, "--max-norm", "1", "--max-norm", "w=1"], /not both/],
    [
      ["explain", "m.onnx", "--loss", "mse", "--want", "norm"],
      /list, separated by commas, of grads, norms, clipped-sum, mean/,
    ],
    [["check", "m.onnx", "--data", "d.npz", "--loss", "mse", "--samples", "0"], /whole number from 1 up/],
  ])("pergrad %j", async (argv, message) => {
    const { code, out, err } = await run(...argv);
    expect({ code, out, err }).toEqual({ code: 2, out: "", err: expect.stringMatching(oneSentence) });
    expect(err).toMatch(message);
    expect(err).toMatch(/\(see pergrad (\S+ )?--help\)/);
  });

  test("writing over what is read is refused, links included", async () => {
    const { command, path, files } = await workspace(linear(), data);
    const before = readFileSync(path("data.safetensors"));
    symlinkSync("data.safetensors", path("link.safetensors"));
    for (const out of ["data.safetensors", "link.safetensors"]) {
      const { code, err } = await command("grads", "--out", path(out));
      expect({ code, err }).toEqual({ code: 2, err: expect.stringMatching(/is the same file as the input/) });
    }
    expect(readFileSync(path("data.safetensors"))).toEqual(before);
    expect(files()).toEqual(["data.safetensors", "link.safetensors", "model.onnx"]);
  });

  test("a page's numbers are written over no other file", async () => {
    const { command, path, files } = await workspace(linear(), data);
    writeFileSync(path("flowers.csv"), "mine");
    const own = await command("report", "--report", path("flowers.html"));
    expect(own).toMatchObject({
      code: 1,
      err: expect.stringMatching(/would overwrite .*flowers.csv", which belongs to no earlier page/),
    });
    const ids = await command("report", "--ids", path("flowers.csv"), "--report", path("flowers.html"));
    expect(ids).toMatchObject({ code: 2, err: expect.stringMatching(/is the same file as the input/) });
    const other = await command("clean", "--out", path("page.csv"), "--report", path("flowers.html"));
    expect(other).toMatchObject({ code: 1, err: expect.stringMatching(/would overwrite/) });
    for (const option of [
      ["--title", "Mine"],
      ["--show", "table"],
      ["--class-names", "a,b"],
    ]) {
      const alone = await command("clean", "--out", path("page.csv"), ...option);
      expect(alone).toMatchObject({
        code: 2,
        err: expect.stringMatching(/is for the page of --report; give --report FILE too, or leave it out/),
      });
    }
    expect(readFileSync(path("flowers.csv"), "utf8")).toBe("mine");
    expect(files()).toEqual(["data.safetensors", "flowers.csv", "model.onnx"]);
    // Its own it writes anew.
    for (let k = 0; k < 2; k++) expect((await command("report", "--report", path("page.html"))).code).toBe(0);
  });
});

describe("help and version are printed to stdout", () => {
  test.each(["grads", "norms", "clipped-sum", "explain", "check"])(
    "%s --help holds an example that parses",
    async (command) => {
      const { code, out, err } = await run(command, "--help");
      expect({ code, err }).toEqual({ code: 0, err: "" });
      const example = /^Example: pergrad (.*)$/m.exec(out)?.[1] ?? "";
      // It gets as far as opening the model.
      expect(await run(...example.split(" "))).toMatchObject({
        code: 1,
        err: expect.stringMatching(/"model.onnx": it does not exist/),
      });
    },
  );

  test("pergrad --help and --version, short and long", async () => {
    for (const help of ["--help", "-h", "help"])
      expect(await run(help)).toMatchObject({
        code: 0,
        err: "",
        out: expect.stringMatching(/clipped-sum .*Exit codes: 0 done/s),
      });
    for (const version of ["--version", "-V"])
      expect(await run(version)).toMatchObject({ code: 0, err: "", out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  });

  test.each(["grads", "norms", "clipped-sum", "explain", "check", "train", "epsilon"])(
    "%s has its help by -h too, and no default twice",
    async (command) => {
      const { code, out } = await run(command, "-h");
      expect({ code, out }).toEqual({ code: 0, out: (await run("help", command)).out });
      for (const paragraph of out.split(/\n {2}(?=-)/))
        expect([...paragraph.matchAll(/default/g)].length).toBeLessThan(2);
    },
  );
});

describe("the model or the data at fault exits with 1 and leaves nothing", () => {
  const onnx = encoded(linear());
  const cases: [
    string,
    { model?: Uint8Array; data?: typeof data | Record<string, typeof data.x>; options?: string[] },
    RegExp,
  ][] = [
    ["not a model", { model: new TextEncoder().encode("hello") }, /model.onnx" is not a readable ONNX model/],
    ["an empty file", { model: new Uint8Array() }, /model.onnx" is not a readable ONNX model: it is empty/],
    ["a truncated model", { model: onnx.subarray(0, onnx.length >> 1) }, /model.onnx" is not a readable ONNX model/],
    ["an unknown operator", { model: encoded(linear(), ({ graph }) => renameFirst(graph?.node)) }, /FancyOp/],
    ["no target", { data: { x: data.x } }, /data.safetensors" lacks the target; add it \(the file holds "x"\)\./],
    ["no input", { data: { target: data.target } }, /lacks the input "x"; add it \(the file holds "target"\)\./],
    ["no tensors", { data: {} }, /lacks the input "x"; add it \(the file holds no tensors at all\)\./],
    ["batches that differ", { data: { x: floats([4, 3]), target: data.target } }, /holds 5 samples, but "x" holds 4/],
    [
      "a wrong shape",
      { data: { x: floats([5, 4]), target: data.target } },
      /"x" is \[5, 4\], but the model needs \[N, 3\]/,
    ],
    ["a wrong target", { data: { x: data.x, target: floats([5, 3]) } }, /mse: the target/],
    ["a scalar target", { data: { x: data.x, target: floats([]) } }, /single number/],
    [
      "one-hot rows",
      { options: ["--loss", "cross_entropy"] },
      /float32 \[N, 2\].*one-hot rows.*class labels, int64.*argmax/,
    ],
    [
      "labels that are floats",
      { data: { ...data, target: floats([5]) }, options: ["--loss", "cross_entropy"] },
      /must be int64, but is float32/,
    ],
    [
      "a glob without match",
      { options: ["--parameters", "conv*"] },
      /"conv\*" matches no parameter: the names are "weight", "bias"/,
    ],
    ["an unknown output", { options: ["--output", "logits"] }, /no output "logits"; its outputs are "output"/],
    ["an impossible axis", { options: ["--sample-axis", "x=2"] }, /2 cannot be its sample axis/],
  ];

  test.each(cases)("%s", async (_name, { model = onnx, data: tensors = data, options = [] }, message) => {
    const { command, path, files } = await workspace(model, tensors);
    for (const name of ["grads", "norms"]) {
      const { code, out, err } = await command(name, "--out", path("out.safetensors"), ...options);
      expect({ code, out, err }).toEqual({ code: 1, out: "", err: expect.stringMatching(oneSentence) });
      expect(err).toMatch(message);
    }
    expect(files()).toEqual(["data.safetensors", "model.onnx"]);
  });

  test("files that are missing, swapped, or of the wrong kind", async () => {
    const { path, files } = await workspace(linear(), data);
    writeFileSync(path("torn.safetensors"), readFileSync(path("data.safetensors")).subarray(0, -8));
    const [model, tensors, out] = [path("model.onnx"), path("data.safetensors"), path("out.safetensors")];
    writeFileSync(path("model.bin"), readFileSync(model));
    const grads = (own: string, of: string) => run("grads", own, "--data", of, "--loss", "mse", "--out", out);
    const refused: [Promise<{ code: number; err: string }>, RegExp][] = [
      [grads(path("none.onnx"), tensors), /Cannot read ".*none.onnx": it does not exist/],
      [grads(path(""), tensors), /it is a directory, not a file/],
      [grads(model, path("none.npz")), /Cannot read ".*none.npz": it does not exist/],
      [grads(model, path("none.onnx")), /Cannot read ".*none.onnx": it does not exist/],
      [grads(model, path("")), /Cannot read .*: it is a directory, not a file/],
      [grads(tensors, model), /holds tensors, not a model; the model comes first/],
      [grads(model, model), /it seems to be a model; give the \.safetensors/],
      [grads(model, path("model.bin")), /it seems to be a model; give the \.safetensors/],
      [grads(model, path("torn.safetensors")), /torn.safetensors" is not a readable safetensors file/],
    ];
    for (const [ended, message] of refused) {
      const { code, err } = await ended;
      expect({ code, err }).toEqual({ code: 1, err: expect.stringMatching(oneSentence) });
      expect(err).toMatch(message);
    }
    expect(files()).toEqual(["data.safetensors", "model.bin", "model.onnx", "torn.safetensors"]);
  });

  test("outputs that cannot be written", async () => {
    const { path, command, files } = await workspace(linear(), data);
    mkdirSync(path("folder.npz"));
    const before = files();
    for (const [out, message] of [
      ["folder.npz", /it is a directory/],
      ["none/out.npz", /its folder does not exist/],
      ["model.onnx/out.npz", /its folder does not exist/],
    ] as const) {
      const { code, err } = await command("grads", "--out", path(out));
      expect({ code, err }).toEqual({ code: 1, err: expect.stringMatching(oneSentence) });
      expect(err).toMatch(message);
    }
    expect(files()).toEqual(before);
  });

  test("an old result stays when a new run fails", async () => {
    const { command, path } = await workspace(linear(), data);
    writeFileSync(path("out.npz"), "old");
    expect((await command("grads", "--out", path("out.npz"), "--output", "none")).code).toBe(1);
    expect(readFileSync(path("out.npz"), "utf8")).toBe("old");
  });

  test("options are named as they are given here, not as the library calls them", async () => {
    const spoilt = await workspace(linear(), { ...data, x: floats([5, 3], (k) => (k === 4 ? Number.NaN : k)) });
    const { code, err } = await spoilt.command("norms", "--out", spoilt.path("out.npz"));
    expect([code, err]).toEqual([1, expect.stringContaining("allow it (--allow-not-finite).")]);
  });

  test("nothing to check", async () => {
    const { command } = await workspace(linear(), { x: floats([0, 3]), target: floats([0, 2]) });
    expect(await command("check")).toMatchObject({ code: 1, err: expect.stringMatching(/holds no samples/) });
  });
});

describe("what nobody expected", () => {
  const broken = () => {
    const io = capture();
    vi.spyOn(io.stdout, "write").mockImplementation(() => {
      throw new TypeError("no such thing\nat all.");
    });
    return io;
  };

  test("is one sentence that asks for a report", async () => {
    const io = broken();
    expect(await main(["--version"], io)).toBe(1);
    expect(io.stderr.text).toMatch(
      /^pergrad: Internal error: no such thing; please report it, .*PERGRAD_DEBUG=stack\.\n$/,
    );
  });

  test("comes with its stack under PERGRAD_DEBUG", async () => {
    vi.stubEnv("PERGRAD_DEBUG", "stack");
    const io = broken();
    await main(["--version"], io);
    vi.unstubAllEnvs();
    expect(io.stderr.text).toMatch(/\nTypeError: no such thing\n.*\n +at /s);
  });
});

test("Ctrl-C says how far it came, and writes nothing", async () => {
  const { command, path, files } = await workspace(linear(), { x: floats([500, 3]), target: floats([500, 2]) });
  const exit = vi.spyOn(process, "exit").mockReturnValue(undefined as never);
  const timer = setInterval(() => {
    if (!files().some((name) => name.includes("out"))) return;
    clearInterval(timer);
    process.emit("SIGINT", "SIGINT");
  }, 1);
  const { err } = await command("norms", "--microbatch-size", "1", "--out", path("out.safetensors"));
  clearInterval(timer);
  expect(exit.mock.calls).toEqual([[130]]);
  expect(err).toMatch(/^pergrad: stopped after \d+ of 500 samples; nothing was written\.$/m);
  exit.mockRestore();
});

test("a signal removes the temporary file, says a word, and ends the process with its exit code", async () => {
  const { path, files } = await workspace(linear(), data);
  const exit = vi.spyOn(process, "exit").mockReturnValue(undefined as never);
  const before = process.listenerCount("SIGTERM");
  const said: string[] = [];
  const action = async () => {
    const writer = await openTensors(path("out.safetensors"), { x: data.x });
    expect(files()).toHaveLength(3);
    process.emit("SIGTERM", "SIGTERM");
    expect(files()).toEqual(["data.safetensors", "model.onnx"]);
    await writer.abort();
  };
  await cleaningUp(action, () => said.push("stopped"));
  expect({ said, codes: exit.mock.calls }).toEqual({ said: ["stopped"], codes: [[143]] });
  exit.mockRestore();
  expect(process.listenerCount("SIGTERM")).toBe(before);
});

function renameFirst(nodes: { opType: string }[] | undefined): void {
  const [first] = nodes ?? [];
  if (first) first.opType = "FancyOp";
}
