#!/usr/bin/env bash
# In Deno, a worker thread of node:worker_threads cannot close the port to its parent: parentPort has no `close`.
#
# Versions: Deno 2.9.6 (npm @deno/linux-x64-glibc), Bun 1.4.5 (npm @oven/bun-linux-x64), Node 20.19 or later; Linux x64.
# Expected by most: parentPort is a MessagePort, so that `parentPort.close()` ends an idle worker, as Node's documentation
# says; Deno reports itself as a recent Node in process.version.
# Seen: in Node and Bun `close` is a function. In Deno it is undefined, though `on`, `postMessage`, `ref` and `unref` are
# there: the call throws inside the worker, the worker ends with an error, and the parent's exit code stays 0.
# Why it matters: a pool that ends its threads gracefully reports an error each time, or swallows one; process.exit() in the
# worker ends it everywhere.
# Source: measured here; https://nodejs.org/api/worker_threads.html#portclose
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true }' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts @deno/linux-x64-glibc@2.9.6 @oven/bun-linux-x64@1.4.5
cat >run.mjs <<'JS'
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { fileURLToPath } from "node:url";
if (isMainThread) {
  const worker = new Worker(fileURLToPath(import.meta.url));
  worker.on("message", (kinds) => {
    console.log(kinds);
    worker.terminate();
  });
} else parentPort.postMessage(["on", "postMessage", "unref", "close"].map((name) => typeof parentPort[name]).join(" "));
JS
in_node=$(node run.mjs)
in_bun=$(node_modules/@oven/bun-linux-x64/bin/bun run.mjs)
in_deno=$(node_modules/@deno/linux-x64-glibc/deno run --allow-all run.mjs)
printf 'on, postMessage, unref, close of parentPort:\n  Node %s\n  Bun  %s\n  Deno %s\n' "$in_node" "$in_bun" "$in_deno"
[ "$in_node" = "function function function function" ]
[ "$in_bun" = "$in_node" ]
[ "$in_deno" = "function function function undefined" ]
