#!/usr/bin/env bash
# Ray's dashboard takes a PUT by Node's fetch for one of a browser and refuses it; the same PUT by node:http is taken.
#
# Versions: ray 2.60.0 ("ray[default]"), Node 20.20, Python 3.11 or later.
# Expected by most: a script in Node is no browser; fetch and node:http send the same request.
# Seen: Node's fetch adds `sec-fetch-mode: cors` to every request, by which Ray tells browsers. PUT /api/packages/..., by which
# Ray's own client uploads a job's working_dir, answers 405 to fetch and 200 to node:http; GET works with both. The header
# cannot be left out: fetch sets it whatever the caller gives.
# Why it matters: a job client in TypeScript that is written with fetch reads versions and lists jobs, then fails at the upload
# with a message about browsers.
# Source: met while writing a client of Ray's Jobs interface, and measured here.
set -euo pipefail
folder=$(mktemp -d)
port=${PORT:-38265}
stop() { kill "$head" 2>/dev/null && wait "$head" 2>/dev/null || true; rm -rf "$folder"; }
head=0
trap stop EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "ray[default]==2.60.0"
RAY_USAGE_STATS_ENABLED=0 "$folder/venv/bin/ray" start --head --block --node-ip-address=127.0.0.1 --port=$((port + 1)) \
  --dashboard-host=127.0.0.1 --dashboard-port="$port" --num-cpus=1 --temp-dir="$folder/ray" >"$folder/log" 2>&1 &
head=$!
for _ in $(seq 120); do
  curl --silent --fail --output /dev/null "http://127.0.0.1:$port/api/version" && break
  sleep 1
done
cat >"$folder/put.mjs" <<'JAVASCRIPT'
import { strict as assert } from "node:assert";
import { request } from "node:http";

const base = process.argv[2];
// An empty archive, under the name that Ray's client would give it.
const archive = Buffer.concat([Buffer.from("PK\x05\x06", "latin1"), Buffer.alloc(18)]);
const upload = (name) => `${base}/api/packages/gcs/_ray_pkg_${name}.zip`;

const byFetch = await fetch(upload("0123456789abcde0"), { method: "PUT", body: archive });
const said = await byFetch.text();
const without = await fetch(upload("0123456789abcde1"), { method: "PUT", body: archive, headers: { "sec-fetch-mode": "" } });
const byHttp = await new Promise((resolve, reject) => {
  const sent = request(upload("0123456789abcde2"), { method: "PUT", headers: { "content-length": archive.length } }, (answer) => {
    answer.resume().on("end", () => resolve(answer.statusCode));
  });
  sent.on("error", reject).end(archive);
});
const read = await fetch(`${base}/api/version`);
console.log(`GET by fetch ${read.status}; PUT by fetch ${byFetch.status} (${said.slice(0, 80)}), with the header emptied ${without.status}, by node:http ${byHttp}`);
assert.equal(read.status, 200);
assert.equal(byHttp, 200);
assert.ok(byFetch.status >= 400 && without.status >= 400, "Ray takes Node's fetch now");
JAVASCRIPT
node "$folder/put.mjs" "http://127.0.0.1:$port"
