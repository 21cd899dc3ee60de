#!/usr/bin/env bash
# TensorFlow.js differentiates avgPool with padding "same" and mirrorPad wrongly at the edges; TensorFlow's own kernels do not.
#
# Versions: @tensorflow/tfjs 4.22.0 (its CPU backend), Node 20 or later.
# Expected by most: the derivative fits the values, as it does in TensorFlow, whose operators these are.
# Seen: avgPool divides a window at the edge by the elements in it that are not padding, its gradient divides by the whole
# window: for 3 x 3 numbers, windows of 2 x 2, stride 2 and "same" every derivative is 0.25, where differences of the values
# give 0.5 at the edges and 1 in the corner. The gradient of mirrorPad is a slice that drops the padding, though padding
# repeats elements: [1, 2, 3] with one reflected element on each side has the derivatives 1, 1, 1, where the values say 1, 3, 1.
# Nothing is raised, on any backend: both gradients are in the core, one calls a kernel, one is a slice.
# Why it matters: "same" is the ordinary padding of ported Keras models, and reflected padding that of style transfer and
# audio networks. Fine-tuning in a page, saliency maps and gradients of samples are off at every border.
# Source: measured here, by differences of the values.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts @tensorflow/tfjs@4.22.0
cat >edges.cjs <<'NODE'
const tf = require("@tensorflow/tfjs");

const cases = {
  avgPool: [(x) => tf.avgPool(tf.reshape(x, [1, 3, 3, 1]), 2, 2, "same"), [1, 2, 3, 4, 5, 6, 7, 8, 9]],
  mirrorPad: [(x) => tf.mirrorPad(x, [[1, 1]], "reflect"), [1, 2, 3]],
};
const rounded = (numbers) => numbers.map((each) => Math.round(each * 1000) / 1000).join(",");
for (const [name, [f, at]] of Object.entries(cases)) {
  const total = (values) => tf.sum(f(tf.tensor1d(values))).dataSync()[0];
  // Both functions are linear, so that a difference over a step of 1 is the derivative.
  const seen = at.map((_, k) => total(at.map((value, i) => value + (i === k ? 1 : 0))) - total(at));
  const told = [...tf.grad((x) => tf.sum(f(x)))(tf.tensor1d(at)).dataSync()];
  console.log(`${name}: differences ${rounded(seen)}; gradient ${rounded(told)}`);
}
NODE
found=$(node edges.cjs)
echo "$found"
grep -qx 'avgPool: differences 0.25,0.25,0.5,0.25,0.25,0.5,0.5,0.5,1; gradient 0.25,0.25,0.25,0.25,0.25,0.25,0.25,0.25,0.25' <<<"$found"
grep -qx 'mirrorPad: differences 1,3,1; gradient 1,1,1' <<<"$found"
echo "confirmed"
