/** The gradients of a want's other batch, which the program takes as inputs. */
import type { ProgramGraph } from "../compile/program-graph.js";
import { PergradError } from "../errors.js";
import { entryOf } from "../present.js";
import { type Data, isTensor, plainData } from "../tensor/data.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Returned } from "../wants/want.js";
import type { NotFinite, NotFiniteOptions, NotFiniteSample } from "./not-finite.js";

export { factors } from "../wants/cross.js";

/** Another batch, as `run` takes it, or the path of a file, which is read in pieces. */
export type OtherBatch = Readonly<Record<string, Data>> | string;

/** The options of a run that matter to the other batch too. */
export interface OtherOptions {
  readonly parameters?: Readonly<Record<string, Tensor>>;
  readonly allowNotFinite?: boolean;
}

type Options = OtherOptions & NotFiniteOptions;

/** What enters a program for another batch. */
export interface Factors {
  /** By the names of the program's inputs. */
  readonly feeds: Returned;
  /** The samples of the other batch that are not finite. */
  readonly notFinite: readonly NotFiniteSample[];
}

/** A want that takes another batch, in a program. */
export interface OfWant extends Pick<ProgramGraph, "factors"> {
  readonly want: string;
}

/** What was computed of another batch, by the names that the want gave it. */
interface Computed {
  readonly tensors: Returned;
  readonly notFinite: readonly NotFiniteSample[];
}

function factorsOf({ want, factors }: OfWant, { tensors, notFinite }: Computed): Factors {
  const own = factors.filter((each) => each.want === want);
  return {
    feeds: Object.fromEntries(own.map(({ value, name }) => [value.name, entryOf(tensors, name)])),
    notFinite: notFinite.map((each) => ({ ...each, others: want })),
  };
}

/** A program for the same model and loss, which computes the factors of gradients. */
interface FactorProgram {
  run(data: Exclude<OtherBatch, string>, options: Options): Promise<{ readonly factors: Returned }>;
  runAll(path: string, options: Options): Promise<{ readonly factors: Returned }>;
  release(): Promise<void>;
}

/** Where what enters a program for a want's other batch comes from. */
export interface Others {
  readonly samples: number;
  /** Throws what `run` throws. */
  factors(of: OfWant, given: OtherBatch | undefined, options: OtherOptions): Promise<Factors>;
  release(): Promise<void>;
}

/** The factors themselves, which each run is given. */
export class GivenFactors implements Others {
  constructor(readonly samples: number) {}

  /** Throws MISSING_TENSOR, BATCH_MISMATCH. */
  async factors(of: OfWant, given: OtherBatch | undefined): Promise<Factors> {
    const { want } = of;
    const factors = typeof given === "string" ? undefined : given;
    if (!factors)
      throw new PergradError(
        "MISSING_TENSOR",
        `"${want}" is computed with vectors, but the run has none; give them as \`others\`.`,
      );
    const found: Record<string, Tensor> = {};
    for (const [name, data] of Object.entries(factors)) {
      const tensor = plainData(name, data);
      if (!isTensor(tensor))
        throw new PergradError("MISSING_TENSOR", `The vectors of "${want}" for "${name}" are not a tensor; give one.`);
      found[name] = tensor;
    }
    requireSamples(want, samplesOf(found), this.samples);
    return factorsOf(of, { tensors: found, notFinite: [] });
  }

  async release(): Promise<void> {}
}

/** Those of a batch, by a program of the same model. */
export class BatchFactors implements Others {
  private constructor(
    private readonly program: FactorProgram,
    private readonly batch: OtherBatch,
    readonly samples: number,
    private readonly first: Computed,
  ) {}

  /** Computes the first batch. The program is released with this, or at once if this fails. Throws what `run` throws. */
  static async of(program: FactorProgram, batch: OtherBatch): Promise<BatchFactors> {
    try {
      const factors = await factorsBy(program, batch, {});
      return new BatchFactors(program, batch, samplesOf(factors.tensors), factors);
    } catch (error) {
      await program.release();
      throw error;
    }
  }

  /** Throws BATCH_MISMATCH, and what `run` throws. */
  async factors(of: OfWant, given: OtherBatch | undefined, options: OtherOptions): Promise<Factors> {
    if (!given && !options.parameters) return factorsOf(of, this.first);
    const computed = await factorsBy(this.program, given ?? this.batch, options);
    requireSamples(of.want, samplesOf(computed.tensors), this.samples);
    return factorsOf(of, computed);
  }

  release(): Promise<void> {
    return this.program.release();
  }
}

/** Throws BATCH_MISMATCH. */
function requireSamples(want: string, samples: number, compiled: number): void {
  if (samples === compiled) return;
  throw new PergradError(
    "BATCH_MISMATCH",
    `The other batch of "${want}" holds ${samples} samples, but the program was compiled for ${compiled}; give it as many samples, or compile another program.`,
  );
}

/** Runs the program. Other options of the run are for wants that it does not have. */
async function factorsBy(
  program: FactorProgram,
  batch: OtherBatch,
  { parameters, allowNotFinite }: OtherOptions,
): Promise<Computed> {
  const notFinite: NotFiniteSample[] = [];
  const options: Options = {
    ...(parameters ? { parameters } : {}),
    ...(allowNotFinite ? { allowNotFinite } : {}),
    onNotFinite: ({ samples }: NotFinite) => notFinite.push(...samples),
  };
  const run = typeof batch === "string" ? program.runAll(batch, options) : program.run(batch, options);
  return { tensors: (await run).factors, notFinite };
}

/** The number of samples, which are on the first axis of the factors. */
function samplesOf(factors: Returned): number {
  return Object.values(factors)[0]?.dims[0] ?? 0;
}
