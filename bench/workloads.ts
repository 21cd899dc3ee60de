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

/** Whole numbers in [0, below) that look random and are the same at every run. */
function indices(dims: readonly number[], below: number): Tensor<"int64"> {
  const drawn = numbers(dims).data;
  return { dtype: "int64", dims, data: BigInt64Array.from(drawn, (x) => BigInt(Math.floor(((x + 1) / 2) * below))) };
}

const ids = (positions: number) => ({ shape: ["N", positions], dtype: "int64" }) as const;

/** Which of two classes a text is of, by the last state of an LSTM. */
function lstmClassifier(): Workload {
  const [samples, positions, vocabulary] = [32, 128, 10_000];
  const module = nn.sequential(nn.embedding(vocabulary, 100), nn.lstm(100, 128).last, nn.linear(128, 2));
  return {
    name: "LSTM classifier, T=128, N=32",
    model: nn.model(module, { input: { x: ids(positions) }, seed: 0 }),
    samples,
    data: { x: indices([samples, positions], vocabulary), target: indices([samples], 2) },
    loss: losses.crossEntropy(),
  };
}

/** The next word, by four causal layers and a head tied to the embedding. */
function languageModel(): Workload {
  const [samples, positions, vocabulary, width] = [8, 128, 8000, 256];
  const words = nn.embedding(vocabulary, width, { deviation: 0.02 });
  const options = { feedForward: 4 * width, activation: "gelu", normFirst: true, causal: true } as const;
  const layers = Array.from({ length: 4 }, () => nn.transformerEncoderLayer(width, 4, options));
  const module = nn.sequential(words, nn.positional(positions, width), ...layers, nn.layerNorm(width), nn.tied(words));
  return {
    name: "GPT-like, T=128, N=8",
    model: nn.model(module, { input: { x: ids(positions) }, seed: 0 }),
    samples,
    data: { x: indices([samples, positions], vocabulary), target: indices([samples, positions], vocabulary) },
    loss: losses.crossEntropy(),
  };
}

export const workloads: readonly (() => Workload)[] = [
  () => classification("MLP 784-256-10, N=256", mlp(), [784], 256),
  () => classification("MNIST CNN, N=64", network(0), [1, 28, 28], 64),
  () => classification("MNIST CNN, N=256", network(0), [1, 28, 28], 256),
  lstmClassifier,
  languageModel,
];
