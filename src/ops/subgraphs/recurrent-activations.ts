/** The activations that LSTM, GRU and RNN name, with their parameters. */
import type { Attributes, Node, Value } from "../../graph/value.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import { intsAttribute, part, shapeMismatch, unsupported } from "../checks.js";

export type Activation = (build: Build, value: Value) => Value;

interface Known {
  /** Defaults of its parameters; undefined for a parameter that it does not have. */
  readonly alpha?: number;
  readonly beta?: number;
  readonly make: (alpha: number, beta: number) => Activation;
}

const simple = (op: string): Known => ({ make: () => (build, value) => build.op(op, [value]) });

const known: Readonly<Record<string, Known>> = {
  Relu: simple("Relu"),
  Tanh: simple("Tanh"),
  Sigmoid: simple("Sigmoid"),
  Softsign: simple("Softsign"),
  Softplus: simple("Softplus"),
  LeakyRelu: { alpha: 0.01, make: (alpha) => (build, value) => build.op("LeakyRelu", [value], { alpha }) },
  ThresholdedRelu: { alpha: 1, make: (alpha) => (build, value) => build.op("ThresholdedRelu", [value], { alpha }) },
  Elu: { alpha: 1, make: (alpha) => (build, value) => build.op("Elu", [value], { alpha }) },
  HardSigmoid: {
    alpha: 0.2,
    beta: 0.5,
    make: (alpha, beta) => (build, value) => build.op("HardSigmoid", [value], { alpha, beta }),
  },
  Affine: {
    alpha: 1,
    beta: 0,
    make: (alpha, beta) => (build, value) =>
      build.add(build.mul(value, build.scalar(alpha, value)), build.scalar(beta, value)),
  },
  ScaledTanh: {
    alpha: 1,
    beta: 1,
    make: (alpha, beta) => (build, value) =>
      build.mul(build.op("Tanh", [build.mul(value, build.scalar(beta, value))]), build.scalar(alpha, value)),
  },
};

const defaults: Readonly<Record<string, readonly string[]>> = {
  LSTM: ["Sigmoid", "Tanh", "Tanh"],
  GRU: ["Sigmoid", "Tanh"],
  RNN: ["Tanh"],
};

/** An activation with its parameters. */
interface Chosen {
  readonly name: string;
  readonly known: Known;
  readonly alpha: number | undefined;
  readonly beta: number | undefined;
}

/** The activations of all directions. Those with a parameter consume the given ones in order. */
function chosen(node: Node | Call, kind: string, directions: number): Chosen[] {
  const own = defaults[kind] ?? [];
  const named = node.attributes.activations;
  const names = Array.isArray(named) && named.length > 0 ? named.map(String) : Array(directions).fill(own).flat();
  if (names.length !== own.length * directions)
    throw shapeMismatch(node, `names ${names.length} activations, but needs ${own.length * directions}`);
  const alphas = [...(intsAttribute(node, "activation_alpha") ?? [])];
  const betas = [...(intsAttribute(node, "activation_beta") ?? [])];
  return names.map((given: string) => {
    const name = Object.keys(known).find((each) => each.toLowerCase() === given.toLowerCase());
    const found = name === undefined ? undefined : known[name];
    if (name === undefined || !found)
      throw unsupported(part(node, `the activation "${given}"`), "is not one that ONNX defines");
    const alpha = found.alpha === undefined ? undefined : (alphas.shift() ?? found.alpha);
    const beta = found.beta === undefined ? undefined : (betas.shift() ?? found.beta);
    return { name, known: found, alpha, beta };
  });
}

/** The activations of each direction. */
export function activationsOf(node: Node | Call, kind: string, directions: number): Activation[][] {
  const all = chosen(node, kind, directions).map(({ known: { make }, alpha = 0, beta = 0 }) => make(alpha, beta));
  const count = all.length / directions;
  return Array.from({ length: directions }, (_, k) => all.slice(k * count, (k + 1) * count));
}

/**
 * The activations spelled out: the runtime's defaults differ from those of the operators of the same names, and it
 * accepts only one spelling.
 */
export function activationAttributes(node: Node, kind: string, directions: number): Attributes {
  const all = chosen(node, kind, directions);
  const given = (list: readonly (number | undefined)[]) => list.filter((value) => value !== undefined);
  const [alphas, betas] = [given(all.map(({ alpha }) => alpha)), given(all.map(({ beta }) => beta))];
  return {
    activations: all.map(({ name }) => name),
    ...(alphas.length > 0 ? { activation_alpha: alphas } : {}),
    ...(betas.length > 0 ? { activation_beta: betas } : {}),
  };
}
