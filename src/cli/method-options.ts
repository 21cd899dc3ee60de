/** Options that select the method of scoring training samples: for attribute and explain. */
import { type Command, InvalidArgumentError } from "commander";
import {
  type GivenMethod,
  gradCos,
  gradDot,
  type InverseName,
  influence,
  loGra,
  relatIF,
  representerPoints,
  tracIn,
  trak,
} from "../attribution/index.js";
import { PergradError } from "../errors.js";
import { readTensors } from "../io/files.js";
import { isFloat, type Tensor } from "../tensor/tensor.js";
import { choice } from "./options.js";
import { alternatives, flagOf, number, UsageError, wholeNumber } from "./usage.js";

export const methodWords = [
  "graddot",
  "gradcos",
  "tracin",
  "trak",
  "logra",
  "influence",
  "relatif",
  "representer",
] as const;
const inverses = {
  exact: "exact",
  gram: "gram",
  ekfac: "ekfac",
  kfac: "kfac",
  cg: "cg",
  lissa: "lissa",
  arnoldi: "arnoldi",
  diagonal: "diagonal",
  datainf: "dataInf",
} as const satisfies Readonly<Record<string, InverseName>>;
const inverseWords = Object.keys(inverses);
const curvatureWords = ["hessian", "ggn", "fisher"] as const;

/** A method and its settings, as commander returns them. */
export interface MethodOptions {
  readonly method: (typeof methodWords)[number];
  readonly inverse?: keyof typeof inverses;
  readonly curvature?: "hessian" | "ggn" | "fisher";
  readonly damping?: number;
  readonly learningRates?: readonly number[];
  readonly cosine?: boolean;
  readonly by?: "loss" | "parameters";
  readonly dims?: number;
  readonly seed?: number;
  readonly projection?: string;
  readonly l2?: number;
  readonly layer?: string;
  readonly rank?: number;
  readonly leaveOut?: boolean;
}

/** Options that only some methods take. */
const takenBy: readonly (readonly [option: keyof MethodOptions, ...methods: MethodOptions["method"][]])[] = [
  ["inverse", "influence", "relatif"],
  ["curvature", "influence", "relatif"],
  ["damping", "influence", "relatif", "trak", "logra"],
  ["learningRates", "tracin"],
  ["cosine", "tracin"],
  ["by", "relatif"],
  ["dims", "trak", "logra"],
  ["seed", "trak", "logra"],
  ["projection", "trak"],
  ["l2", "representer"],
  ["layer", "representer"],
  ["rank", "influence", "relatif"],
  ["leaveOut", "influence"],
];

/** The options that decide how parameters are approximated. */
export function withApproximation(command: Command): Command {
  return command
    .addOption(
      choice("--inverse <name>", "for influence and relatif: how the matrix is inverted (default: gram)", inverseWords),
    )
    .addOption(
      choice(
        "--curvature <name>",
        "for influence and relatif: the matrix (default: fisher for gram, diagonal and datainf; ggn for the others)",
        curvatureWords,
      ),
    )
    .option(
      "--dims <k>",
      "for trak and logra: numbers to which each gradient is projected (default: 2048)",
      wholeNumber(1),
    )
    .option("--rank <k>", "for --inverse arnoldi: eigenvalues kept, the largest in size (default: 50)", wholeNumber(1))
    .option(
      "--layer <name>",
      "for representer: the last linear layer's weight (default: of the matrices with an axis of the classes, the one used last)",
    );
}

/** One of the methods. */
export function method(text: string): string {
  if (methodWords.some((word) => word === text)) return text;
  throw new InvalidArgumentError(`it must be one of ${methodWords.join(", ")}`);
}

/** Reads "0.1,0.05". */
export function rates(text: string): readonly number[] {
  return text.split(",").map((each) => {
    try {
      return number(each, (rate) => rate >= 0, "a number");
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error;
      throw new InvalidArgumentError("it must be numbers from 0 up, separated by commas, one for each checkpoint");
    }
  });
}

/** Throws UsageError. */
export function requireFitting(options: MethodOptions): void {
  for (const [name, ...methods] of takenBy) {
    if (options[name] === undefined || methods.includes(options.method)) continue;
    throw new UsageError(
      `${flagOf(name)} is for --method ${alternatives(methods)}, not for ${options.method}; leave it out.`,
    );
  }
  if (options.rank !== undefined && options.inverse !== "arnoldi")
    throw new UsageError("--rank is for --inverse arnoldi; give that too, or leave --rank out.");
  if (options.method === "representer" && options.l2 === undefined)
    throw new UsageError(
      "--method representer needs the penalty with which the last layer was trained; give --l2 FACTOR.",
    );
  if (options.projection !== undefined && (options.dims !== undefined || options.seed !== undefined))
    throw new UsageError("--projection FILE decides size and seed of the projection; leave out --dims and --seed.");
}

export async function methodOf(options: MethodOptions): Promise<GivenMethod> {
  const { method, damping, learningRates, cosine, dims, seed, projection, l2, layer, by } = options;
  const damped = damping === undefined ? {} : { damping };
  if (method === "graddot") return gradDot();
  if (method === "gradcos") return gradCos();
  if (method === "tracin")
    return tracIn({ ...(learningRates ? { learningRates } : {}), ...(cosine === undefined ? {} : { cosine }) });
  const projected = { ...(dims === undefined ? {} : { dims }), ...(seed === undefined ? {} : { seed }) };
  if (method === "logra") return loGra({ ...damped, ...projected });
  if (method === "trak")
    return trak({
      ...damped,
      ...projected,
      ...(projection === undefined ? {} : { projection: await projectionIn(projection) }),
    });
  if (method === "representer") return representerPoints({ l2: l2 ?? 0, ...(layer === undefined ? {} : { layer }) });
  const how = {
    ...damped,
    ...(options.inverse === undefined ? {} : { inverse: inverses[options.inverse] }),
    ...(options.curvature === undefined ? {} : { of: options.curvature }),
    ...(options.rank === undefined ? {} : { rank: options.rank }),
  };
  return method === "influence" ? influence(how) : relatIF({ ...how, ...(by === undefined ? {} : { by }) });
}

/** Throws MISSING_TENSOR. */
async function projectionIn(file: string): Promise<Tensor> {
  const tensor = (await readTensors(file)).get("projection");
  if (tensor && isFloat(tensor.dtype)) return tensor;
  throw new PergradError(
    "MISSING_TENSOR",
    `"${file}" lacks "projection", a tensor of floats [numbers in all parameters, dims]; give a file that holds it.`,
  );
}
