/** The nine workloads: each a network, a batch and a loss, the same at every run and for every peer. */
import { network as mnistCnn } from "../examples/digits/network.js";
import { losses, type Model, nn, type Tensor } from "../src/index.js";

/** A workload without its weights and data. */
export interface WorkloadSpec {
  /** Stable and short, for the command line and the results file. */
  readonly id: string;
  readonly name: string;
  readonly samples: number;
  readonly module: () => Model;
  /** The shape of one sample. */
  readonly input: readonly number[];
  /** Inputs are whole numbers below this. */
  readonly vocabulary?: number;
  readonly classes: number;
  /** The shape of one sample's target: absent if a sample has one label. */
  readonly labels?: readonly number[];
}

export interface Workload {
  readonly id: string;
  readonly name: string;
  readonly model: Model;
  readonly samples: number;
  readonly data: { readonly x: Tensor; readonly target: Tensor };
  readonly loss: ReturnType<typeof losses.crossEntropy>;
}

/** Numbers in [-1, 1) that look random and are the same at every run. */
function numbers(dims: readonly number[], seed: number): Tensor<"float32"> {
  const size = dims.reduce((product, dim) => product * dim, 1);
  let state = seed;
  const data = Float32Array.from({ length: size }, () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state / 2 ** 31 - 1;
  });
  return { dtype: "float32", dims, data };
}

/** Whole numbers in [0, below) that look random and are the same at every run. */
function indices(dims: readonly number[], below: number, seed: number): Tensor<"int64"> {
  const drawn = numbers(dims, seed).data;
  const whole = (x: number) => BigInt(Math.min(below - 1, Math.floor(((x + 1) / 2) * below)));
  return { dtype: "int64", dims, data: BigInt64Array.from(drawn, whole) };
}

/** The workload with its weights and data; `samples` selects another batch size. */
export function makeWorkload(spec: WorkloadSpec, samples = spec.samples): Workload {
  const { id, name, vocabulary, classes } = spec;
  const dims = [samples, ...spec.input];
  const x = vocabulary === undefined ? numbers(dims, 12345) : indices(dims, vocabulary, 12345);
  const target = indices([samples, ...(spec.labels ?? [])], classes, 54321);
  return { id, name, samples, model: spec.module(), data: { x, target }, loss: losses.crossEntropy() };
}

function modelOf(module: nn.Module, input: readonly number[]): Model {
  return nn.model(module, { input: { x: ["N", ...input] }, seed: 0 });
}

/** Words, given by their numbers. */
export function textModel(module: nn.Module, positions: number): Model {
  return nn.model(module, { input: { x: { shape: ["N", positions], dtype: "int64" } }, seed: 0 });
}

function perceptron(...widths: readonly number[]): Model {
  const layers = widths.slice(1).flatMap((width, k) => [nn.linear(widths[k] as number, width), nn.relu()]);
  return modelOf(nn.sequential(...layers.slice(0, -1)), [widths[0] as number]);
}

/** The convolutional network of Opacus' CIFAR-10 example. */
function cifarCnn(): Model {
  const block = (inputs: number, outputs: number) => [nn.conv2d(inputs, outputs, 3, { padding: 1 }), nn.relu()];
  const module = nn.sequential(
    ...[...block(3, 32), nn.avgPool2d(2)],
    ...[...block(32, 64), nn.avgPool2d(2)],
    ...[...block(64, 64), nn.avgPool2d(2)],
    ...[...block(64, 128), nn.adaptiveAvgPool()],
    nn.flatten(),
    nn.linear(128, 10),
  );
  return modelOf(module, [3, 32, 32]);
}

/** ResNet-18 for small pictures: a 3x3 stem, no pooling before the stages, group normalisation with 32 groups. */
function resNet18(): Model {
  const conv = (inputs: number, outputs: number, size: number, stride: number) =>
    nn.conv2d(inputs, outputs, size, { stride, padding: (size - 1) / 2, bias: false });
  const norm = (channels: number) => nn.groupNorm(32, channels);
  const block = (inputs: number, outputs: number, stride: number) => {
    const body = nn.sequential(
      ...[conv(inputs, outputs, 3, stride), norm(outputs), nn.relu()],
      ...[conv(outputs, outputs, 3, 1), norm(outputs)],
    );
    const shortcut = nn.sequential(conv(inputs, outputs, 1, stride), norm(outputs));
    return [nn.residual(body, stride > 1 ? { shortcut } : {}), nn.relu()];
  };
  const stages = [64, 128, 256, 512].flatMap((width, k) => [
    ...block(k === 0 ? width : width / 2, width, k === 0 ? 1 : 2),
    ...block(width, width, 1),
  ]);
  const stem = [conv(3, 64, 3, 1), norm(64), nn.relu()];
  const head = [nn.adaptiveAvgPool(), nn.flatten(), nn.linear(512, 10)];
  return modelOf(nn.sequential(...stem, ...stages, ...head), [3, 32, 32]);
}

/** Predicts which of two classes a text has, from the last state of an LSTM. */
function lstmClassifier(): Model {
  return textModel(nn.sequential(nn.embedding(10_000, 100), nn.lstm(100, 128).last, nn.linear(128, 2)), 128);
}

/** Predicts the next word, with four causal layers and a head tied to the embedding. */
function languageModel(): Model {
  const [positions, vocabulary, width] = [128, 8000, 256];
  const words = nn.embedding(vocabulary, width, { deviation: 0.02 });
  const options = { feedForward: 4 * width, activation: "gelu", normFirst: true, causal: true } as const;
  const layers = Array.from({ length: 4 }, () => nn.transformerEncoderLayer(width, 4, options));
  const module = nn.sequential(words, nn.positional(positions, width), ...layers, nn.layerNorm(width), nn.tied(words));
  return textModel(module, positions);
}

/** Predicts which of two classes a text has, from the mean of its words' vectors. */
function wordMean(): Model {
  const mean = nn.module((x) => x.mean([1]));
  return textModel(nn.sequential(nn.embedding(20_000, 100), mean, nn.linear(100, 2)), 64);
}

/** In the order of the page. */
export const workloads: readonly WorkloadSpec[] = [
  {
    id: "mlp",
    name: "MLP 784-256-10",
    samples: 256,
    module: () => perceptron(784, 256, 10),
    input: [784],
    classes: 10,
  },
  {
    id: "mlp-large",
    name: "MLP 784-1024-1024-10",
    samples: 64,
    module: () => perceptron(784, 1024, 1024, 10),
    input: [784],
    classes: 10,
  },
  {
    id: "mnist-cnn",
    name: "MNIST CNN",
    samples: 256,
    module: () => mnistCnn(0),
    input: [1, 28, 28],
    classes: 10,
  },
  {
    id: "cifar-cnn",
    name: "CIFAR CNN 32-64-64-128",
    samples: 64,
    module: cifarCnn,
    input: [3, 32, 32],
    classes: 10,
  },
  {
    id: "resnet18",
    name: "ResNet-18 with GroupNorm, 32x32",
    samples: 16,
    module: resNet18,
    input: [3, 32, 32],
    classes: 10,
  },
  {
    id: "lstm",
    name: "LSTM classifier, T=128",
    samples: 32,
    module: lstmClassifier,
    input: [128],
    vocabulary: 10_000,
    classes: 2,
  },
  {
    id: "gpt",
    name: "GPT-like, 4 layers, width 256, T=128",
    samples: 8,
    module: languageModel,
    input: [128],
    vocabulary: 8000,
    classes: 8000,
    labels: [128],
  },
  {
    id: "embedding",
    name: "embedding 20,000x100, 64 tokens",
    samples: 64,
    module: wordMean,
    input: [64],
    vocabulary: 20_000,
    classes: 2,
  },
  {
    id: "tiny",
    name: "MLP 20-32-32-2",
    samples: 32,
    module: () => perceptron(20, 32, 32, 2),
    input: [20],
    classes: 2,
  },
];
