import { losses, type Model, nn, type Tensor } from "../src/index.js";

export interface Workload {
  readonly name: string;
  readonly model: Model;
  readonly samples: number;
  readonly data: { readonly x: Tensor; readonly target: Tensor };
  readonly loss: ReturnType<typeof losses.crossEntropy>;
}

/** Numbers in [-1, 1) that look random and are the same at every run. */
function numbers(dims: readonly number[]): Tensor<"float32"> {
  const size = dims.reduce((product, dim) => product * dim, 1);
  let state = 12345;
  const data = Float32Array.from({ length: size }, () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state / 2 ** 31 - 1;
  });
  return { dtype: "float32", dims, data };
}

function classification(name: string, model: Model, shape: readonly number[], samples: number): Workload {
  const target = BigInt64Array.from({ length: samples }, (_, n) => BigInt(n % 10));
  return {
    name,
    model,
    samples,
    data: { x: numbers([samples, ...shape]), target: { dtype: "int64", dims: [samples], data: target } },
    loss: losses.crossEntropy(),
  };
}

/** The CNN of PyTorch's MNIST example for differentially private training. */
export function mnistCnn(): Model {
  const module = nn.sequential(
    nn.conv2d(1, 16, 8, { stride: 2, padding: 3 }),
    nn.relu(),
    nn.maxPool2d(2, { stride: 1 }),
    nn.conv2d(16, 32, 4, { stride: 2 }),
    nn.relu(),
    nn.maxPool2d(2, { stride: 1 }),
    nn.flatten(),
    nn.linear(32 * 4 * 4, 32),
    nn.relu(),
    nn.linear(32, 10),
  );
  return nn.model(module, { input: { x: ["N", 1, 28, 28] }, seed: 0 });
}

export function mlp(): Model {
  const module = nn.sequential(nn.linear(784, 256), nn.relu(), nn.linear(256, 10));
  return nn.model(module, { input: { x: ["N", 784] }, seed: 0 });
}

export const workloads: readonly (() => Workload)[] = [
  () => classification("MLP 784-256-10, N=256", mlp(), [784], 256),
  () => classification("MNIST CNN, N=64", mnistCnn(), [1, 28, 28], 64),
  () => classification("MNIST CNN, N=256", mnistCnn(), [1, 28, 28], 256),
];
