"""JAX as a peer: see protocol.py. Networks are functions of one sample and of the parameters, in our order."""
import importlib.metadata

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from protocol import serve

MAX_NORM = 1.0


def linear(x, weight, bias):
    return x @ weight.T + bias


def perceptron(p, x):
    for k in range(0, len(p), 2):
        x = linear(x, p[k], p[k + 1])
        x = jax.nn.relu(x) if k + 2 < len(p) else x
    return x


def conv(x, weight, stride=1, padding=0):
    """x [C, H, W]"""
    return lax.conv_general_dilated(x[None], weight, (stride, stride), [(padding, padding)] * 2)[0]


def pool(x, size, stride, start, combine):
    return lax.reduce_window(x, start, combine, (1, size, size), (1, stride, stride), "VALID")


def max_pool(x):
    return pool(x, 2, 1, -jnp.inf, lax.max)


def average_pool(x):
    return pool(x, 2, 2, 0.0, lax.add) / 4


def mnist_cnn(p, x):
    x = max_pool(jax.nn.relu(conv(x, p[0], 2, 3) + p[1][:, None, None]))
    x = max_pool(jax.nn.relu(conv(x, p[2], 2) + p[3][:, None, None]))
    return perceptron(p[4:], x.reshape(-1))


def cifar_cnn(p, x):
    for k in range(0, 8, 2):
        x = jax.nn.relu(conv(x, p[k], 1, 1) + p[k + 1][:, None, None])
        x = average_pool(x) if k < 6 else x.mean((1, 2))
    return linear(x, p[8], p[9])


def group_norm(x, weight, bias, groups=32):
    y = x.reshape(groups, -1)
    y = (y - y.mean(1, keepdims=True)) * lax.rsqrt(y.var(1, keepdims=True) + 1e-5)
    return y.reshape(x.shape) * weight[:, None, None] + bias[:, None, None]


def resnet18(p, x):
    p = iter(p)

    def normed(x, stride=1, padding=1):
        weight, gain, bias = next(p), next(p), next(p)
        return group_norm(conv(x, weight, stride, padding), gain, bias)

    x = jax.nn.relu(normed(x))
    for stage in range(4):
        for block in range(2):
            stride = 2 if stage > 0 and block == 0 else 1
            body = normed(jax.nn.relu(normed(x, stride)))
            x = jax.nn.relu(body + (normed(x, stride, 0) if stride > 1 else x))
    return linear(x.mean((1, 2)), next(p), next(p))


def lstm(p, x):
    words, w_x, w_h, b_x, b_h, head, head_bias = p
    projected = words[x] @ w_x.T + b_x

    def step(state, now):
        h, c = state
        i, o, f, g = jnp.split(now + w_h @ h + b_h, 4)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    zero = jnp.zeros(w_h.shape[1])
    (h, _), _ = lax.scan(step, (zero, zero), projected)
    return linear(h, head, head_bias)


def layer_norm(x, weight, bias):
    y = (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + 1e-5)
    return y * weight + bias


def attention(x, w_in, b_in, w_out, b_out, heads=4):
    q, k, v = (y.reshape(x.shape[0], heads, -1).transpose(1, 0, 2) for y in jnp.split(linear(x, w_in, b_in), 3, -1))
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1]).astype(np.float32)
    scores = jnp.where(np.tril(np.ones(scores.shape[1:], bool)), scores, -jnp.inf)
    y = jax.nn.softmax(scores) @ v
    return linear(y.transpose(1, 0, 2).reshape(x.shape), w_out, b_out)


def language_model(p, x):
    words, positions = p[:2]
    y = words[x] + positions
    for k in range(2, 50, 12):
        w_in, b_in, w_out, b_out, w1, b1, w2, b2, g1, o1, g2, o2 = p[k : k + 12]
        y = y + attention(layer_norm(y, g1, o1), w_in, b_in, w_out, b_out)
        y = y + linear(jax.nn.gelu(linear(layer_norm(y, g2, o2), w1, b1), approximate=False), w2, b2)
    return layer_norm(y, p[50], p[51]) @ words.T


def word_mean(p, x):
    return linear(p[0][x].mean(0), p[1], p[2])


networks = {
    "mlp": perceptron,
    "mlp-large": perceptron,
    "mnist-cnn": mnist_cnn,
    "cifar-cnn": cifar_cnn,
    "resnet18": resnet18,
    "lstm": lstm,
    "gpt": language_model,
    "embedding": word_mean,
    "tiny": perceptron,
}


def alternatives(workload, parameters, x, target):
    network = networks[workload]
    p = [jnp.asarray(parameter) for parameter in parameters]
    x = jnp.asarray(x.astype(np.int32) if x.dtype == np.int64 else x)
    target = jnp.asarray(target.astype(np.int32))

    def loss(p, x, target):
        scores = jax.nn.log_softmax(network(p, x))
        return -jnp.take_along_axis(scores, target[..., None], -1).mean()

    def mean_loss(p, x, target):
        return jax.vmap(loss, (None, 0, 0))(p, x, target).mean()

    gradients = jax.vmap(jax.grad(loss), (None, 0, 0))

    def clipped(p, x, target):
        each = gradients(p, x, target)
        norms = jnp.sqrt(sum(jnp.sum(jnp.square(g.reshape(g.shape[0], -1)), 1) for g in each))
        factors = MAX_NORM / jnp.maximum(norms, MAX_NORM)
        return norms, [jnp.tensordot(factors, g, 1) for g in each]

    def maker(function):
        def make():
            compiled = jax.jit(function)
            return lambda: jax.block_until_ready(compiled(p, x, target))

        return make

    return {
        "JAX mean gradient": ("mean", maker(lambda *args: (None, jax.grad(mean_loss)(*args)))),
        "JAX vmap(grad)": ("materialised", maker(lambda *args: (None, gradients(*args)))),
        "JAX vmap(grad), clipped": ("clipped", maker(clipped)),
    }


serve("JAX", {name: importlib.metadata.version(name) for name in ["jax", "jaxlib"]}, alternatives)
