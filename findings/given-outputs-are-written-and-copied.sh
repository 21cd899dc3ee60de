#!/usr/bin/env bash
# A tensor given to onnxruntime-node for an output is written, and the result is a second tensor that holds a copy.
#
# Versions: onnxruntime-node 1.30.0 on Linux x64, Node 20 or later.
# Expected by most: session.run(feeds, { y: tensor }) computes y in the memory of that tensor, as the interface's
# documentation says of "pre-allocated" outputs and as the C++, Python and C# interfaces do. So no memory is allocated
# for results, and a buffer used again and again is the way to keep large results from being allocated at each run.
# Seen: the given tensor is written, but what run returns is another tensor with other memory, made at every run and
# filled by a copy. With outputs of 64 MiB, ten runs into one given tensor allocate ten times 64 MiB of JavaScript's
# memory, exactly as many as ten runs without one.
# Why it matters: whoever gives outputs to save memory and copies has one tensor more than before, and pays for both.
# Whoever reads the returned tensor never notices. (The source of later versions does not copy results any more.)
# Source: measured here; InferenceSessionWrap::Run in js/node/src/inference_session_wrap.cc notes which outputs were
# given, and never reads the note.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts onnxruntime-node@1.30.0
cat >run.cjs <<'JS'
const assert = require("node:assert");
const ort = require("onnxruntime-node");

// y = Expand(x, [16, 1024, 1024]): x has one float, y 2^24.
const text = (field, value) => [field * 8 + 2, value.length, ...Buffer.from(value)];
const part = (field, bytes) => {
  const flat = bytes.flat();
  assert(flat.length < 128);
  return [field * 8 + 2, flat.length, ...flat];
};
const dim = (size) => part(1, [8, ...varint(size)]);
const varint = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...varint(n >> 7)]);
const value = (field, name, dims) => part(field, [text(1, name), part(2, [part(1, [8, 1, part(2, dims.map(dim))])])]);
const sizes = [16, 1024, 1024];
const shape = part(5, [8, 3, 16, 7, part(7, sizes.map(varint)), text(8, "shape")]);
const node = part(1, [text(1, "x"), text(1, "shape"), text(2, "y"), text(4, "Expand")]);
const graph = part(7, [node, text(2, "g"), shape, value(11, "x", [1]), value(12, "y", sizes)]);
const model = Buffer.from([8, 8, graph, part(8, [text(1, ""), 16, 13])].flat(2));

const bytes = 4 * 2 ** 24;
const runs = 10;
const own = () => process.memoryUsage().arrayBuffers;

async function main() {
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1 });
  const x = new ort.Tensor("float32", [3], [1]);
  const given = new ort.Tensor("float32", new Float32Array(2 ** 24), sizes);
  const { y } = await session.run({ x }, { y: given });
  console.log(`the given tensor holds ${given.data.at(-1)}; the result is ${y === given ? "that" : "another"} tensor, ` +
    `${y.data.buffer === given.data.buffer ? "with its" : "with other"} memory`);
  assert(given.data.at(-1) === 3 && y.data.at(-1) === 3, "both hold the result");
  assert(y !== given && y.data.buffer !== given.data.buffer, "they are two");
  const kept = []; // nothing is collected meanwhile
  const growth = async (fetches) => {
    const before = own();
    for (let run = 0; run < runs; run++) kept.push((await session.run({ x }, fetches)).y);
    return (own() - before) / bytes;
  };
  const [into, without] = [await growth({ y: given }), await growth(["y"])];
  console.log(`${runs} results take ${into} times the size of one with a given tensor, ${without} times without`);
  assert(into === runs && without === runs, "each run allocates its result");
  assert(kept.length === 2 * runs);
}

main().then(() => console.log("as described"));
JS
node run.cjs
