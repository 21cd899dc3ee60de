#!/usr/bin/env bash
# In jax-js, selu of 89 and more, silu of -89 and less, and products over an axis with one zero have a NaN gradient; JAX's are finite.
#
# Versions: @jax-js/jax 0.1.25 (CPU backend), Node 20 or later; jax 0.10.2 for comparison, Python 3.11 or later.
# Expected by most: an activation that is exactly linear or exactly 0 far from the origin has the gradient 1 or 0 there, as
# in JAX, whose names and interface jax-js has; and the derivative of a product by its only zero is the product of the others.
# Seen: the values are right, the gradients NaN: selu at 100, silu at -100 (inputs beyond the 88.7 at which exp
# overflows float32: the branch that a where did not select, or both factors of a product, bring 0 times infinity), and
# prod and cumprod of [1, 0, 2, 3] at the zero (the derivative is taken as the product divided by the element).
# JAX: 1.0507, 0, 6 and 9. On jax-js' WebAssembly backend mish at 100 is NaN too.
# Why it matters: one such activation in one sample makes its whole gradient NaN, and with it every sum over samples, while the
# loss looks healthy. Logits of 100 are ordinary in the first steps of training and in adversarial or mislabelled samples.
# Source: measured here; JAX mended the like of it for elu in 2019: https://github.com/jax-ml/jax/pull/1538.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts @jax-js/jax@0.1.25
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 numpy==2.2.6
cat >gradients.mjs <<'NODE'
import { defaultDevice, grad, init, nn, numpy as np } from "@jax-js/jax";

await init("cpu");
defaultDevice("cpu");
const cases = [
  ["selu", (x) => nn.selu(x), [100]],
  ["silu", (x) => nn.silu(x), [-100]],
  ["prod", (x) => np.prod(x), [1, 0, 2, 3]],
  ["cumprod", (x) => np.cumprod(x), [1, 0, 2, 3]],
];
for (const [name, f, at] of cases) {
  const value = (await f(np.array(at)).sum().data())[0];
  const gradient = [...(await grad((x) => f(x).sum())(np.array(at)).data())];
  console.log(`${name}: ${Number(value.toPrecision(5))}, gradient ${gradient.map((each) => Number(each.toPrecision(5)))}`);
}
process.exit(0);
NODE
cat >gradients.py <<'PYTHON'
import jax
import jax.numpy as jnp

cases = [("selu", jax.nn.selu, [100.0]), ("silu", jax.nn.silu, [-100.0]),
         ("prod", jnp.prod, [1.0, 0, 2, 3]), ("cumprod", jnp.cumprod, [1.0, 0, 2, 3])]
for name, f, at in cases:
    value, gradient = jax.value_and_grad(lambda x: jnp.sum(f(x)))(jnp.array(at))
    print(f"{name}: {float(value):.5g}, gradient {','.join(f'{each:.5g}' for each in gradient.tolist())}")
PYTHON
theirs=$(JAX_PLATFORMS=cpu venv/bin/python gradients.py)
found=$(node gradients.mjs)
printf 'JAX:\n%s\njax-js:\n%s\n' "$theirs" "$found"
grep -qx 'prod: 0, gradient 0,6,0,0' <<<"$theirs"
grep -qx 'cumprod: 1, gradient 1,9,0,0' <<<"$theirs"
[ "$(grep -c nan <<<"$theirs")" = 0 ]
grep -qx 'selu: 105.07, gradient NaN' <<<"$found"
grep -q '^silu: .*, gradient NaN$' <<<"$found"
grep -qx 'prod: 0, gradient 0,NaN,0,0' <<<"$found"
grep -qx 'cumprod: 1, gradient 1,NaN,0,0' <<<"$found"
echo "confirmed"
