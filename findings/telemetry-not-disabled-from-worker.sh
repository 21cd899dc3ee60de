#!/usr/bin/env bash
# A Node worker thread cannot turn off ONNX Runtime's telemetry by setting the variable that is documented for it.
#
# Versions: onnxruntime-node 1.30.0 on Linux x64, Node 20 or later; util-linux's unshare, so that nothing leaves the machine.
# Expected by most: `process.env.ORT_DISABLE_TELEMETRY = "1"` before the runtime is loaded turns it off, wherever it is loaded.
# Seen: in the main thread it does. In a worker thread it does not: a device id and a store of events appear in the home
# folder. A worker's process.env is a copy, and the runtime reads the environment of the process.
# Why it matters: a library that keeps inference off the event loop loads the runtime in workers alone, so that its opt-out
# does nothing, and says nothing; the library must set the variable in the main thread, or start workers with SHARE_ENV.
# Source: measured here; Node's documentation of worker threads says that their process.env is a copy by default.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts onnxruntime-node@1.30.0
cat >run.cjs <<'JS'
const { isMainThread, SHARE_ENV, Worker } = require("node:worker_threads");
const [, , where, share] = process.argv;
if (where === "worker" && isMainThread) {
  new Worker(__filename, { argv: ["inner"], ...(share === "share" ? { env: SHARE_ENV } : {}) });
} else {
  process.env.ORT_DISABLE_TELEMETRY = "1";
  const ort = require("onnxruntime-node");
  const { initOrt } = require("onnxruntime-node/dist/binding.js");
  initOrt();
  setTimeout(() => {}, 2000, ort);
}
JS
files() {
  rm -rf home
  mkdir home
  env -u CI -u ORT_DISABLE_TELEMETRY -u XDG_CACHE_HOME HOME="$folder/home" unshare -rn node run.cjs "$@"
  find home -type f | wc -l
}
main=$(files main)
worker=$(files worker)
shared=$(files worker share)
echo "files written: $main from the main thread, $worker from a worker, $shared from a worker that shares its environment"
[ "$main" = 0 ] && [ "$worker" -gt 0 ] && [ "$shared" = 0 ]
