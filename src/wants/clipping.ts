/** The sum of clipped gradients: what private training adds noise to. */
import { checkOptions as checkNames, invalidArgument, kindOf, type OptionNames } from "../arguments.js";
import { PergradError } from "../errors.js";
import { selectByGlob } from "../graph/select-names.js";
import type { Value } from "../graph/value.js";
import { build } from "../ops/registry.js";
import { option, sentence } from "../sentence.js";
import { checkMaxNorm } from "./max-norm.js";
import {
  type ByParameter,
  each,
  type FloatTensor,
  float,
  totalNorm,
  under,
  type Want,
  type WantContext,
} from "./wanted.js";

/** The result of `want.clippedSum`. */
export interface ClippedSum {
  /** The sum over samples of each sample's gradient times its factor, by parameter, `[...shape]`. */
  readonly sum: ByParameter;
  /** 2-norm of each sample's whole gradient before clipping, `[N]`. */
  readonly norms: FloatTensor;
  /**
   * 2-norm, before clipping, of each sample's gradient in each group of parameters that is clipped together, `[N]`. The
   * names are those of the groups or parameters, or "all" if the whole gradient is clipped.
   */
  readonly groups: ByParameter;
}

/** Options of `want.clippedSum`. */
export interface ClippedSumOptions {
  /**
   * The largest norm of a sample's whole gradient; as a record, of its part in each parameter or, if there are
   * `groups`, in each group. Above 0.
   */
  readonly maxNorm: number | Readonly<Record<string, number>>;
  /**
   * Parameters (names or globs) that are clipped together, by group names of your own; each parameter is in one group.
   * Default: no groups.
   */
  readonly groups?: Readonly<Record<string, readonly string[]>>;
  /**
   * Automatic clipping: the factor is maxNorm / (norm + gamma), so that small gradients are scaled up (Bu et al. 2022,
   * "Automatic clipping"). Default: the factor is min(1, maxNorm / norm).
   */
  readonly automatic?: {
    /** Above 0. Smaller values scale more of the small gradients up. */
    readonly gamma: number;
  };
  /**
   * Accounts for rounding: whatever the data, no sample's part of the sum has a norm above `maxNorm` by more than 2^-15
   * of it. If a gradient may be a difference of much larger terms, these are added up for each sample before anything
   * else (which takes the memory of the materialised gradients), or the gradient is scaled by a bound on its norm.
   * Default: false, which applies the formula without this.
   */
  readonly strict?: boolean;
  /** `run` accepts other norms: `program.run(data, { maxNorms: { <want>: ... } })`. Default false. */
  readonly adjustable?: boolean;
}

/** The name of the group of all parameters. */
const wholeGradient = "all";

/** Parameters that are clipped together. */
export interface ClippingGroup {
  readonly name: string;
  readonly parameters: readonly string[];
  readonly maxNorm: number;
}

const clippedSumOptions: OptionNames<ClippedSumOptions> = {
  maxNorm: true,
  groups: true,
  automatic: true,
  strict: true,
  adjustable: true,
};

function checkOptions({ maxNorm, groups, automatic }: ClippedSumOptions): void {
  const given: unknown = maxNorm;
  if (typeof given !== "number" && (typeof given !== "object" || given === null))
    throw invalidArgument(
      sentence`${option("maxNorm")} must be a number, or numbers by parameter or group, not ${kindOf(given)}.`,
    );
  if (typeof maxNorm === "number") checkMaxNorm(maxNorm);
  else for (const [name, limit] of Object.entries(maxNorm)) checkMaxNorm(limit, ` of "${name}"`);
  if (automatic && !(automatic.gamma > 0 && Number.isFinite(automatic.gamma))) {
    throw new PergradError("INVALID_ARGUMENT", `gamma is ${automatic.gamma}; it must be a finite number above 0.`);
  }
  for (const [name, globs] of Object.entries(groups ?? {})) {
    if (globs.length > 0) continue;
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The group "${name}" names no parameters; give it one, or leave it out.`,
    );
  }
}

/**
 * Throws MISSING_TENSOR (a group or parameter without a norm, or a norm without one), INVALID_ARGUMENT, NO_PARAMETERS.
 */
export function clippingGroups({ maxNorm, groups }: ClippedSumOptions, parameters: readonly string[]): ClippingGroup[] {
  if (typeof maxNorm === "number" && !groups) return [{ name: wholeGradient, parameters, maxNorm }];
  const what = groups ? "group" : "parameter";
  const members = groups
    ? Object.entries(groups).map(([name, globs]) => [name, selectByGlob(parameters, globs)] as const)
    : parameters.map((parameter) => [parameter, [parameter]] as const);
  if (groups) checkPartition(members, parameters);
  return members.map(([name, own]) => {
    const limit = typeof maxNorm === "number" ? maxNorm : maxNorm[name];
    if (limit !== undefined) return { name, parameters: own, maxNorm: limit };
    throw new PergradError(
      "MISSING_TENSOR",
      sentence`${option("maxNorm")} has no limit for the ${what} "${name}"; give one.`,
    );
  });
}

function checkPartition(
  groups: readonly (readonly [string, readonly string[]])[],
  parameters: readonly string[],
): void {
  for (const parameter of parameters) {
    const holders = groups.filter(([, own]) => own.includes(parameter)).map(([name]) => `"${name}"`);
    if (holders.length === 1) continue;
    const where = holders.length === 0 ? "in no group" : `in the groups ${holders.join(" and ")}`;
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The parameter "${parameter}" is ${where} of clipping; put each parameter into one.`,
    );
  }
}

/** min(1, maxNorm / norm), which is 1 if the norm is 0; or maxNorm / (norm + gamma). `[N]` */
function clipFactor(norm: Value, maxNorm: Value, { automatic }: ClippedSumOptions): Value {
  if (automatic) return build.div(maxNorm, build.add(norm, build.scalar(automatic.gamma, norm)));
  return build.div(maxNorm, build.op("Max", [norm, maxNorm]));
}

/** The norm, plus what rounding may hide of it. */
function boundedNorm({ plan }: WantContext, parameters: readonly string[], norm: Value): Value {
  const squares = parameters.flatMap((parameter) => plan.hidden(parameter) ?? []);
  return squares.length === 0 ? norm : build.sqrt(build.op("Sum", [build.square(norm), ...squares]));
}

/** A group's norms, `[N]`, and the sums of its parameters' gradients. */
function clipped(wanted: WantContext, group: ClippingGroup, options: ClippedSumOptions) {
  const { name, parameters, maxNorm } = group;
  const norm = totalNorm(wanted, parameters);
  const limit = options.adjustable ? wanted.scalar(name, maxNorm) : build.scalar(maxNorm, norm);
  const factor = clipFactor(options.strict ? boundedNorm(wanted, parameters, norm) : norm, limit, options);
  return { name, norm, sums: each(parameters, (parameter) => wanted.plan.weightedSum(parameter, factor)) };
}

/** The values, with a prefix before each name. */
function prefixed(prefix: string, values: Readonly<Record<string, Value>>): Record<string, Value> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`${prefix}${name}`, value]));
}

/**
 * The sum over the batch of gradients clipped to `maxNorm`. A sample whose gradient is not finite makes the sum
 * non-finite too: look at its norm.
 * @throws PergradError INVALID_ARGUMENT, MISSING_TENSOR, NO_PARAMETERS.
 */
export function clippedSum(options: ClippedSumOptions): Want<ClippedSum> {
  checkNames("want.clippedSum(options)", options, clippedSumOptions);
  checkOptions(options);
  const whole = typeof options.maxNorm === "number" && !options.groups;
  return {
    name: "clippedSum",
    settings: { ...options },
    norms: "norms",
    // Every parameter's part is multiplied by the norm of the whole gradient, or of a group.
    spreads: true,
    requirements: { norm: 1, sum: 1, strict: options.strict ?? false },
    emit: (wanted) => {
      const parts = clippingGroups(options, wanted.plan.parameters).map((group) => clipped(wanted, group, options));
      const norms = Object.fromEntries(parts.map(({ name, norm }) => [name, norm]));
      return {
        norms: totalNorm(wanted),
        ...(whole ? {} : prefixed("group/", norms)),
        ...prefixed("sum/", Object.assign({}, ...parts.map(({ sums }) => sums))),
      };
    },
    read: (returned) => {
      const norms = float(returned, "norms");
      return {
        sum: under(returned, "sum/"),
        norms,
        groups: whole ? { [wholeGradient]: norms } : under(returned, "group/"),
      };
    },
  };
}
