/** Watches the steps of a training: the gradients of each batch, and where on its loss's parabola the step ended. */
import { Matrix, solve } from "ml-matrix";
import { checkOptions, invalidArgument, kindOf, type OptionNames } from "../arguments.js";
import type { Objective } from "../compile/objective.js";
import type { Batch } from "../program/given-data.js";
import { type Running, runningOf } from "../program/options.js";
import { type Diagnostics, DiagnosticsPrograms, type Slope } from "../solvers/diagnostics.js";
import type { ByParameter } from "../wants/wanted.js";
import type { Parameters } from "./optimizer.js";

/** Diagnostics of one step: those of its batch before the step, and of the step itself on the same batch. */
export interface StepDiagnostics extends Diagnostics {
  /** Counted from 1. */
  readonly step: number;
  /** The mean loss of the same batch after the step. */
  readonly lossAfter: number;
  /** The 2-norm of the change of all parameters. */
  readonly stepNorm: number;
  /** d'H d / |d|^2 of the mean loss, averaged over the step d: the change of its slope. */
  readonly curvatureAlongStep: number;
  /**
   * Where the step ended on the parabola that fits the losses and slopes at both its ends, each weighted by its
   * certainty: -1 at the start, 0 at the minimum, 1 as high as before on the other side. -1 if the parabola has no
   * minimum ahead, Infinity if it rises from the start (Schneider et al. 2021, section 2.2).
   */
  readonly alpha: number;
}

/** Diagnostics that `train` computes besides taking steps. */
export interface DiagnoseOptions {
  /** Called with the diagnostics of a step after it was taken, and awaited. */
  readonly onDiagnostics: (diagnostics: StepDiagnostics) => void | Promise<void>;
  /** Diagnose the first step, and then every so many steps. Default 1. */
  readonly every?: number;
  /** Compute `ticTrace` and `ticDiagonal` too, from the exact diagonal of the GGN. Default false. */
  readonly curvature?: boolean;
}

const diagnoseOptions: OptionNames<DiagnoseOptions> = { onDiagnostics: true, every: true, curvature: true };

/** Throws INVALID_ARGUMENT. */
function requireDiagnose(given: DiagnoseOptions): Required<DiagnoseOptions> {
  checkOptions("diagnose", given, diagnoseOptions);
  const { onDiagnostics, every = 1, curvature = false } = given;
  if (typeof onDiagnostics !== "function")
    throw invalidArgument(
      `diagnose needs onDiagnostics, which must be a function that receives the results, not ${kindOf(onDiagnostics)}.`,
    );
  if (!Number.isSafeInteger(every) || every < 1)
    throw invalidArgument(
      `diagnose.every must be a number of steps from 1 up, not ${kindOf(every)}; give a whole number.`,
    );
  return { onDiagnostics, every, curvature };
}

function difference(after: Parameters, before: Parameters): ByParameter {
  return Object.fromEntries(
    Object.entries(before).map(([name, { dims, data }]) => {
      const own = after[name]?.data;
      return [name, { dtype: "float32" as const, dims, data: data.map((x, i) => (own?.[i] ?? x) - x) }];
    }),
  );
}

function normOf(of: ByParameter): number {
  const squares = Object.values(of).map(({ data }) => data.reduce((sum, x) => sum + x * x, 0));
  return Math.sqrt(squares.reduce((sum, each) => sum + each, 0));
}

/** See `StepDiagnostics.alpha`. */
function alphaOf(start: Slope, end: Slope): number {
  // Loss w0 + w1 t + w2 t^2 with t = 0 at the start and 1 at the end.
  const rows = [
    { of: [1, 0, 0], value: start.loss, variance: start.lossVariance },
    { of: [1, 1, 1], value: end.loss, variance: end.lossVariance },
    { of: [0, 1, 0], value: start.slope, variance: start.slopeVariance },
    { of: [0, 1, 2], value: end.slope, variance: end.slopeVariance },
  ];
  // Exact values weigh much, but not infinitely more than uncertain ones.
  const least = 1e-12 * Math.max(...rows.map(({ variance }) => variance || 0)) || 1;
  const weights = rows.map(({ variance }) => 1 / Math.sqrt(Math.max(variance || 0, least)));
  const left = new Matrix(rows.map(({ of }, k) => of.map((x) => x * (weights[k] ?? 0))));
  const right = Matrix.columnVector(rows.map(({ value }, k) => value * (weights[k] ?? 0)));
  const [, slope = Number.NaN, half = Number.NaN] = solve(left, right).to1DArray();
  if (slope >= 0) return Number.POSITIVE_INFINITY;
  return half > 0 ? (-2 * half) / slope - 1 : -1;
}

/** Diagnoses some steps of a training. */
export class Diagnosed {
  private constructor(
    private readonly programs: DiagnosticsPrograms,
    private readonly options: Required<DiagnoseOptions>,
  ) {}

  /** Throws INVALID_ARGUMENT, and what `perSample` throws. */
  static async of(
    objective: Objective,
    given: DiagnoseOptions,
    running: Pick<Running, "threads" | "microbatchSize">,
  ): Promise<Diagnosed> {
    const options = requireDiagnose(given);
    const programs = await DiagnosticsPrograms.of(objective, {
      ...runningOf(running),
      curvature: options.curvature,
      holdParameters: false,
    });
    return new Diagnosed(programs, options);
  }

  /** Whether the step, counted from 1, is diagnosed: an empty batch has no diagnostics. */
  asks(step: number, samples: number): boolean {
    return samples > 0 && (step - 1) % this.options.every === 0;
  }

  /** Diagnoses a batch, and a step from these parameters to others. */
  async step(step: number, batch: Batch, before: Parameters, after: Parameters): Promise<void> {
    const { programs, options } = this;
    const found = await programs.at(batch, { parameters: before });
    const change = difference(after, before);
    const start = await programs.along(change, batch, { parameters: before });
    const end = await programs.along(change, batch, { parameters: after });
    const stepNorm = normOf(change);
    await options.onDiagnostics({
      ...found,
      step,
      lossAfter: end.loss,
      stepNorm,
      curvatureAlongStep: (end.slope - start.slope) / stepNorm ** 2,
      alpha: alphaOf(start, end),
    });
  }

  release(): Promise<void> {
    return this.programs.release();
  }
}
