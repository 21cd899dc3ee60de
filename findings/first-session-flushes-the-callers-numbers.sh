#!/usr/bin/env bash
# An option of ONNX Runtime's first session changes how JavaScript itself computes; in later sessions it half applies.
#
# Versions: onnxruntime-node 1.30.0 on Linux x64, Node 20 or later.
# Expected by most: session.set_denormal_as_zero is an option of a session: its operators replace numbers below 2^-126
# by 0, and nothing else changes.
# Seen: if the first session of a process has it, the thread that creates the session computes with such zeros from then
# on, outside the runtime too: 5e-324 * 1 > 0 is false in JavaScript, also after the session is gone, in worker threads
# started later, and in sessions that set the option to "0". If another session came first, the option does nothing on
# one thread; with two threads it applies to what the pool's thread computes, so that one element-wise product gives
# zeros in one part of a tensor and numbers in another, as the parts fall.
# Why it matters: setting the option in a library changes the arithmetic of its caller, or does nothing, depending on
# what else has been loaded before; results depend on which thread computed which part.
# Source: measured here; InferenceSession's constructor in ONNX Runtime sets the calling thread's mode once per process
# (std::call_once), and a comment on the option says that a main thread keeps the mode of the first session.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts onnxruntime-node@1.30.0
cat >run.cjs <<'JS'
const assert = require("node:assert");
const { Worker, isMainThread, parentPort } = require("node:worker_threads");

/** Whether JavaScript computes with the smallest numbers, when this is called: what it would print is affected too. */
const kept = () => Number("5e-324") * process.argv.slice(0, 1).length > 0;

if (!isMainThread) {
  parentPort.postMessage(kept());
} else {
  const ort = require("onnxruntime-node");
  // y = a * b, each of 2^20 floats.
  const model = Buffer.from("CAoSB3BlcmdyYWQyADpWChIKAWEKAWISAXkaACIDTXVsOgASB3BlcmdyYWRaEQoBYRIMCgoIARIGCgQIgIBAWhEKAWISDAoKCAESBgoECICAQGIRCgF5EgwKCggBEgYKBAiAgEBCBAoAEBU=", "base64");
  const size = 2 ** 20;
  const make = (flag, threads) =>
    ort.InferenceSession.create(model, { intraOpNumThreads: threads, extra: { session: { set_denormal_as_zero: flag } } });
  const tiny = () => new ort.Tensor("float32", new Float32Array(size).fill(1e-20), [size]);
  /** How many of the products 1e-40 are 0. */
  const zeros = async (session) => (await session.run({ a: tiny(), b: tiny() })).y.data.filter((x) => x === 0).length;
  const inWorker = () => new Promise((resolve) => new Worker(__filename).once("message", resolve));

  const first = async () => {
    const before = kept();
    const own = await make("1", 1);
    const during = kept();
    await own.release();
    const [after, worker] = [kept(), await inWorker()];
    const other = await zeros(await make("0", 1));
    console.log(`first session with the option: 5e-324 * 1 > 0 is ${before} before, ${during} then, ${after} after its release,`);
    console.log(`${worker} in a worker; a session without the option gives ${other} zeros of ${size}`);
    assert(before, "numbers are kept before");
    assert(!during && !after && !worker, "JavaScript's own numbers become 0");
    assert(other === size, "so do those of a session without the option");
  };
  const second = async () => {
    await make("0", 1);
    const alone = await zeros(await make("1", 1));
    const two = await make("1", 2);
    let mixed = 0;
    for (let run = 0; run < 200 && (mixed === 0 || mixed === size); run++) mixed = await zeros(two);
    console.log(`second session with the option: ${alone} zeros on one thread, ${mixed} of ${size} on two; 5e-324 * 1 > 0 is ${kept()}`);
    assert(alone === 0, "the option does nothing on one thread");
    assert(mixed > 0 && mixed < size, "on two threads it applies to a part of a tensor");
    assert(kept(), "JavaScript's own numbers are kept");
  };
  ({ first, second })[process.argv[2]]();
}
JS
node run.cjs first
node run.cjs second
