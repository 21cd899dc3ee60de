#!/usr/bin/env bash
# jax-js gives relu the slope 1 at 0, where JAX and PyTorch give 0: rows of zeros train a layer that they leave alone elsewhere.
#
# Versions: @jax-js/jax 0.1.25 (CPU backend), Node 20 or later; jax 0.10.2 and torch 2.15.0 for comparison, Python 3.11 or later.
# Expected by most: jax-js has JAX's interface and names, so relu, relu6 and hard_swish have JAX's derivatives. JAX's
# documentation of relu defines the derivative at 0 as 0.
# Seen: jax-js writes relu as a maximum with 0 and relu6 as a clip, whose derivatives at a tie go to the argument. At 0 the
# derivative of relu and relu6 is 1 (JAX, PyTorch: 0), of hard_swish at 3 it is 1.5 (JAX: 1).
# Why it matters: exact zeros before a relu are common: padding, masked tokens, dropped or one-hot inputs, and biases that
# start at 0. In a network of two layers whose biases are 0, a row of zeros gives the first bias a gradient of 0 in JAX
# and in PyTorch, and a full one in jax-js. Per-sample norms, and what they clip, differ without a word.
# Source: measured here; https://docs.jax.dev/en/latest/_autosummary/jax.nn.relu.html, and Bertoin et al. 2021, "Numerical
# influence of ReLU'(0) on backpropagation".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts @jax-js/jax@0.1.25
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 torch==2.15.0 numpy==2.2.6
cat >slopes.mjs <<'NODE'
import { defaultDevice, grad, init, nn, numpy as np } from "@jax-js/jax";

await init("cpu");
defaultDevice("cpu");
const slope = async (f, at) => (await grad((x) => f(x).sum())(np.array([at])).data())[0];
// The gradient of the first layer's bias [3] for a row of zeros: x W1 + b1, relu, W2, sum.
const ofBias = grad((bias) => {
  const hidden = nn.relu(np.dot(np.zeros([1, 2]), np.ones([2, 3])).add(bias));
  return np.dot(hidden, np.array([[1], [-2], [4]])).sum();
})(np.zeros([3]));
const found = {
  "relu at 0": await slope((x) => nn.relu(x), 0),
  "relu6 at 0": await slope((x) => nn.relu6(x), 0),
  "hard_swish at 3": await slope((x) => nn.hardSwish(x), 3),
  "bias, row of zeros": [...(await ofBias.data())],
};
console.log(JSON.stringify(found));
process.exit(0);
NODE
cat >slopes.py <<'PYTHON'
import json

import jax
import jax.numpy as jnp
import torch

second = [[1.0], [-2.0], [4.0]]


def slope(function, at):
    return float(jax.grad(function)(at))


def network(bias):
    return jnp.sum(jax.nn.relu(jnp.zeros((1, 2)) @ jnp.ones((2, 3)) + bias) @ jnp.array(second))


found = {
    "relu at 0": slope(jax.nn.relu, 0.0),
    "relu6 at 0": slope(jax.nn.relu6, 0.0),
    "hard_swish at 3": slope(jax.nn.hard_swish, 3.0),
    "bias, row of zeros": jax.grad(network)(jnp.zeros(3)).tolist(),
}
bias = torch.zeros(3, requires_grad=True)
(torch.relu(torch.zeros(1, 2) @ torch.ones(2, 3) + bias) @ torch.tensor(second)).sum().backward()
assert bias.grad.tolist() == found["bias, row of zeros"], bias.grad
print(json.dumps(found))
PYTHON
theirs=$(JAX_PLATFORMS=cpu venv/bin/python slopes.py)
found=$(node slopes.mjs)
echo "JAX and PyTorch: $theirs"
echo "jax-js:          $found"
[ "$theirs" = '{"relu at 0": 0.0, "relu6 at 0": 0.0, "hard_swish at 3": 1.0, "bias, row of zeros": [0.0, 0.0, 0.0]}' ]
[ "$found" = '{"relu at 0":1,"relu6 at 0":1,"hard_swish at 3":1.5,"bias, row of zeros":[1,-2,4]}' ]
echo "confirmed"
