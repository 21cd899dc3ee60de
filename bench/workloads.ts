import { network } from "../examples/digits/network.js";
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

export function mlp(): Model {
  const module = nn.sequential(nn.linear(784, 256), nn.relu(), nn.linear(256, 10));
  return nn.model(module, { input: { x: ["N", 784] }, seed: 0 });
}

export const workloads: readonly (() => Workload)[] = [
  () => classification("MLP 784-256-10, N=256", mlp(), [784], 256),
  () => classification("MNIST CNN, N=64", network(0), [1, 28, 28], 64),
  () => classification("MNIST CNN, N=256", network(0), [1, 28, 28], 256),
];
