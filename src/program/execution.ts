/** Runs a program's batches, at once or in parts, and deals with results that are not finite. */

import { isSummed, whyWhole } from "../compile/joining.js";
import type { Objective } from "../compile/objective.js";
import type { ProgramGraph } from "../compile/program-graph.js";
import { PergradError } from "../errors.js";
import { bindShape } from "../graph/dim.js";
import type { Model } from "../graph/model.js";
import { entryOf, nth, present } from "../present.js";
import type { Executable, Running } from "../target/target.js";
import { copiesOf } from "../tensor/data.js";
import { pieces } from "../tensor/take-samples.js";
import { floatsIn, type Tensor, tensorWith, zeroTensor } from "../tensor/tensor.js";
import type { Returned, Wants } from "../wants/want.js";
import type { Prepared } from "./feeds.js";
import { type GivenOptions, givenFeeds, ownOptions, parameterFeeds, requireFiniteVectors, wantFeeds } from "./given.js";
import type { HeldValues } from "./held.js";
import type { Computed, Joined } from "./joined.js";
import type { MemoryOptions, Microbatches } from "./microbatches.js";
import {
  checkNotFiniteOptions,
  type NotFiniteOptions,
  type NotFiniteSample,
  Reporter,
  renumbered,
  Watched,
} from "./not-finite.js";
import type { Factors, Others } from "./others.js";
import { samplesAt, samplesBetween } from "./split.js";

/** What a run needs to know about the objective. */
export interface ExecutedObjective extends Pick<Objective, "expected"> {
  readonly model: Pick<Model, "parameters">;
  /** By the names of the parameters to differentiate with respect to. */
  readonly parameters: Pick<ReadonlyMap<string, unknown>, "keys">;
}

/** A program, as far as running it needs. */
export interface Executed {
  readonly objective: ExecutedObjective;
  readonly wants: Wants;
  readonly graph: ProgramGraph;
  readonly executable: Pick<Executable, "inSteps">;
  readonly running: Running;
  /** The values of the parameters that the runtime holds. */
  readonly held: HeldValues;
  readonly others: ReadonlyMap<string, Others>;
  readonly microbatches: Microbatches;
  /** Whether it runs in a worker thread, so that the caller may overwrite the data before results come back. */
  readonly elsewhere: boolean;
}

export type ExecutionOptions = MemoryOptions & NotFiniteOptions & GivenOptions & { readonly signal?: AbortSignal };

type Feeds = Readonly<Record<string, Tensor>>;

interface ComputedAndJudged extends Computed {
  readonly notFinite: readonly NotFiniteSample[];
}

/** Whether it is not known which samples are not finite. */
const isUnknown = (samples: readonly NotFiniteSample[]) => samples.some(({ sample }) => sample === null);

export class Execution {
  readonly #watched: Watched;
  #isSeparable: boolean | undefined;

  constructor(
    private readonly executed: Executed,
    private readonly reporter = new Reporter(),
  ) {
    const { objective, wants, graph } = executed;
    this.#watched = new Watched(graph.watch, wants, graph.outputs, new Set(objective.parameters.keys()));
  }

  /** Whether samples can be run by themselves. Few runs ask this, and then the graph is searched once. */
  get #separable(): boolean {
    const { objective, graph } = this.executed;
    const separate = graph.outputs.filter(({ joining }) => joining.kind !== "whole");
    this.#isSeparable ??= whyWhole(separate, objective.expected) === undefined;
    return this.#isSeparable;
  }

  /**
   * Computes a batch. Before the promise is returned, all that is given has been read, by the runtime or into copies.
   * @param first the number of the first sample in the dataset
   */
  async compute(prepared: Prepared, options: ExecutionOptions, first: number): Promise<Computed> {
    checkNotFiniteOptions(options);
    const { objective, wants, graph, executable, running, held, others, microbatches, elsewhere } = this.executed;
    const { samples } = prepared;
    const size = microbatches.sizeFor(samples, options);
    if (samples === 0) return this.empty();
    this.#checkOthers(options.others);
    const late = elsewhere || executable.inSteps(samples);
    const again = options.notFinite === "leave out" || (late && this.#mayLook(options));
    const given = (own: ExecutionOptions) => givenFeeds(objective.model, wants, graph, own, held);
    const now = given(options);
    if (size >= samples && others.size === 0 && !again && running.isReady(now, samples))
      return this.#atOnce(prepared, now, options, first);
    const feeds = options.inPlace ? prepared.feeds : copiesOf(prepared.feeds);
    const fixed = this.#fixed(given(ownOptions(options)), options);
    const factors = await this.#factors(options);
    for (const { notFinite } of factors) await this.reporter.report(notFinite, options);
    return this.#except(factors).#inParts(
      { ...prepared, feeds },
      size,
      { ...fixed, ...joined(factors) },
      options,
      first,
    );
  }

  /** The same without watching results that another batch spoils for each sample. */
  #except(factors: readonly Factors[]): Execution {
    const spoilt = factors.flatMap(({ notFinite }) => notFinite.map(({ others }) => others));
    if (spoilt.length === 0) return this;
    const wants = Object.fromEntries(Object.entries(this.executed.wants).filter(([name]) => !spoilt.includes(name)));
    return new Execution({ ...this.executed, wants }, this.reporter);
  }

  /** Copies parameters that replace held ones: these are the model's own arrays, which the caller may overwrite. */
  #fixed(given: Feeds, { inPlace = false, parameters }: ExecutionOptions): Feeds {
    const { held } = this.executed.running;
    if (inPlace || parameters) return given;
    const own = Object.entries(given).filter(([name]) => held.has(name));
    return { ...given, ...copiesOf(Object.fromEntries(own)) };
  }

  /** Everything that the runtime is fed for a batch. */
  async feeds({ feeds }: Prepared, options: ExecutionOptions): Promise<Feeds> {
    const { objective, wants, graph, held } = this.executed;
    this.#checkOthers(options.others);
    const values = parameterFeeds(objective.model, graph.parameters, options.parameters);
    const given = { ...values, ...givenFeeds(objective.model, wants, graph, options, held) };
    const own = Object.fromEntries(graph.inputs.map(({ name }) => [name, entryOf(feeds, name)]));
    return { ...given, ...joined(await this.#factors(options)), ...own };
  }

  /** What is fed beside a batch's data, except what a saved file holds itself. */
  async beside(options: Pick<GivenOptions, "parameters" | "vectors" | "maxNorms" | "others">): Promise<Feeds> {
    const { objective, wants, graph } = this.executed;
    this.#checkOthers(options.others);
    const { parameters } = options;
    const values = parameters ? parameterFeeds(objective.model, graph.parameters, parameters) : {};
    const own = wantFeeds(wants, graph, options);
    // The file holds the vectors and the norms with which the wants were made.
    const asMade = options.vectors ? [] : graph.vectors;
    for (const { value } of [...asMade, ...(options.maxNorms ? [] : graph.scalars)]) delete own[value.name];
    return { ...values, ...own, ...joined(await this.#factors(options)) };
  }

  /** Whether samples that are not finite may have to be looked for by running parts again. */
  #mayLook(options: NotFiniteOptions): boolean {
    return this.#separable && this.executed.graph.watch === undefined && this.reporter.listens(options);
  }

  /** Reports sums that overflow only when those of several chunks are added. Throws NOT_FINITE. */
  async reportOverflow({ overflowed = [] }: Computed, options: NotFiniteOptions): Promise<void> {
    await this.reporter.report(this.#watched.together(overflowed), options);
  }

  async #atOnce(prepared: Prepared, given: Feeds, options: ExecutionOptions, first: number): Promise<Computed> {
    // Copied only if samples must be looked for. Until the run returns its promise, the data is as it was given.
    let own: { readonly feeds: Feeds; readonly given: Feeds } | undefined;
    let wrong: unknown;
    const running = this.#run(prepared, given, ({ notFinite }, finite) => {
      wrong = thrownBy(() => {
        prepared.checkLeft?.(prepared.feeds, finite);
        this.#requireVectors(notFinite, given, options);
      });
      if (isUnknown(notFinite) && this.#mayLook(options))
        own = options.inPlace
          ? { feeds: prepared.feeds, given }
          : { feeds: copiesOf(prepared.feeds), given: copiesOf(given) };
    });
    const found = await running.catch((error: unknown) => {
      // NaN made an index, perhaps.
      prepared.checkLeft?.(prepared.feeds);
      throw error;
    });
    if (wrong) throw wrong;
    const { samples } = prepared;
    const reported = own
      ? await this.#search({ feeds: own.feeds, samples }, own.given, found.notFinite)
      : found.notFinite;
    const told = renumbered(reported, (n) => first + n);
    if (told.length > 0) await this.reporter.report(told, options);
    return found;
  }

  /** Results of microbatches are joined by a module that few pages need. */
  async #joined(samples: number): Promise<Joined> {
    const { Joined } = await import("./joined.js");
    return new Joined(this.executed.graph.outputs, samples);
  }

  async #inParts(
    { feeds, samples, checkLeft }: Prepared,
    size: number,
    given: Feeds,
    options: NotFiniteOptions & Pick<ExecutionOptions, "signal">,
    first: number,
  ): Promise<Computed> {
    const joined = size < samples ? await this.#joined(samples) : undefined;
    const notFinite: NotFiniteSample[] = [];
    let whole: Computed | undefined;
    let isChecked = checkLeft === undefined;
    const check = (finite?: ReadonlySet<string>) => {
      if (!isChecked) checkLeft?.(feeds, finite);
      isChecked ||= finite === undefined;
    };
    for (const [from, to] of pieces(samples, size)) {
      options.signal?.throwIfAborted();
      const part = samplesBetween({ feeds }, this.executed.objective.expected, from, to);
      const found = await this.#looked(part, given, options, check);
      notFinite.push(...renumbered(found.notFinite, (n) => first + from + n));
      if (joined) joined.add(found.returned, to - from, found.counted);
      else whole = found;
    }
    const computed = joined?.finish() ?? present(whole);
    await this.reporter.report([...notFinite, ...this.#watched.together(computed.overflowed ?? [])], options);
    return computed;
  }

  /** Throws NOT_FINITE if a vector is to blame for what is not finite, and no sample, unless such results are ignored. */
  #requireVectors(found: readonly NotFiniteSample[], given: Feeds, { notFinite }: NotFiniteOptions): void {
    if (found.length > 0 && notFinite !== "ignore") requireFiniteVectors(this.executed.graph.vectors, given);
  }

  /** Runs a part; looks for samples that are not finite if somebody listens, and leaves them out if that is asked for. */
  async #looked(
    part: Prepared,
    given: Feeds,
    options: NotFiniteOptions,
    check?: (finite?: ReadonlySet<string>) => void,
  ): Promise<ComputedAndJudged> {
    const found = await this.#checked(part, given, check);
    this.#requireVectors(found.notFinite, given, options);
    const look = isUnknown(found.notFinite) && this.#separable && this.reporter.listens(options);
    const notFinite = look ? await this.#search(part, given, found.notFinite) : found.notFinite;
    const left = options.notFinite === "leave out" && notFinite.some(({ sample }) => typeof sample === "number");
    return left ? this.#without({ ...found, notFinite }, part, given, options) : { ...found, notFinite };
  }

  /** @param check throws if an input is not finite; called with the names of those that are known to be */
  async #checked(
    part: Prepared,
    given: Feeds,
    check: (finite?: ReadonlySet<string>) => void = () => {},
  ): Promise<ComputedAndJudged> {
    let finite: ReadonlySet<string> | undefined;
    const running = this.#run(part, given, (_, known) => {
      finite = known;
    });
    const found = await running.catch((error: unknown) => {
      // NaN made an index, perhaps.
      check();
      throw error;
    });
    check(finite);
    return found;
  }

  /** @param seen called with what is found, before the promise is returned if the runtime is in this thread */
  async #run(
    { feeds, samples }: Prepared,
    given: Feeds,
    seen?: (found: ComputedAndJudged, finite?: ReadonlySet<string>) => void,
  ): Promise<ComputedAndJudged> {
    const { graph, running } = this.executed;
    const own: Record<string, Tensor> = { ...given };
    for (const { name } of graph.inputs) own[name] = entryOf(feeds, name);
    let found: ComputedAndJudged | undefined;
    const look = (returned: Returned, finite?: ReadonlySet<string>): ComputedAndJudged => {
      const notFinite = this.#watched.find(returned, samples, finite);
      found = { returned, samples, counted: samples, notFinite };
      seen?.(found, finite);
      return found;
    };
    const results = await running.run(own, samples, look);
    return found ?? look(results);
  }

  /** Finds the samples of a batch that are not finite by halving it; "together" if each by itself is finite. */
  async #search(part: Prepared, given: Feeds, found: readonly NotFiniteSample[]): Promise<readonly NotFiniteSample[]> {
    if (part.samples === 1 || !isUnknown(found)) return found.map((each) => ({ ...each, sample: each.sample ?? 0 }));
    const notFinite: NotFiniteSample[] = [];
    for (const [from, to] of pieces(part.samples, Math.ceil(part.samples / 2))) {
      const half = samplesBetween(part, this.executed.objective.expected, from, to);
      const own = await this.#search(half, given, (await this.#run(half, given)).notFinite);
      notFinite.push(...renumbered(own, (n) => from + n));
    }
    return notFinite.length > 0 ? notFinite : found.map((each) => ({ ...each, sample: "together" as const }));
  }

  /** The same results, with sums and means over the finite samples only. */
  async #without(
    { returned, samples, notFinite }: ComputedAndJudged,
    { feeds }: Prepared,
    given: Feeds,
    options: NotFiniteOptions,
  ): Promise<ComputedAndJudged> {
    const { graph, objective, wants } = this.executed;
    const left = new Set(notFinite.map(({ sample }) => sample));
    const kept = Array.from({ length: samples }, (_, n) => n).filter((n) => !left.has(n));
    const part = { feeds: samplesAt(feeds, objective.expected, kept), samples: kept.length };
    const again = kept.length === 0 ? { ...this.empty(), notFinite: [] } : await this.#looked(part, given, options);
    const more = renumbered(again.notFinite, (n) => nth(kept, n));
    const all = [...notFinite.filter(({ sample }) => typeof sample === "number"), ...more];
    for (const { sample } of more) left.add(sample);
    const results = { ...returned };
    for (const { name, joining } of graph.outputs) if (isSummed(joining)) results[name] = entryOf(again.returned, name);
    for (const [want, { addedUp = [] }] of Object.entries(wants))
      for (const own of addedUp) results[`${want}/${own}`] = without(entryOf(results, `${want}/${own}`), left);
    return { returned: results, samples, counted: again.counted, notFinite: all };
  }

  #checkOthers(given: GivenOptions["others"] = {}): void {
    const unknown = Object.keys(given).find((name) => !this.executed.others.has(name));
    if (unknown !== undefined)
      throw new PergradError(
        "MISSING_TENSOR",
        `There is no want "${unknown}" that uses another batch; leave it out, or correct its name.`,
      );
  }

  /** What the wants' other batches give. All start at once, so that all that is given is read now. */
  #factors({ others: given = {}, ...options }: ExecutionOptions): Promise<Factors[]> {
    const { others, graph } = this.executed;
    return Promise.all(Array.from(others, ([want, each]) => each.factors({ want, ...graph }, given[want], options)));
  }

  /** The results of an empty batch: empty, and sums of zero. */
  empty(): Computed {
    const returned = Object.fromEntries(
      this.executed.graph.outputs.map(({ name, value }) => {
        const dims = bindShape(value.shape, 0);
        return [name, zeroTensor(value.dtype, dims)];
      }),
    );
    return { returned, samples: 0, counted: 0 };
  }
}

/** What the call throws; undefined if it returns. */
function thrownBy(call: () => void): unknown {
  try {
    call();
    return undefined;
  } catch (error) {
    return error;
  }
}

const joined = (factors: readonly Factors[]): Feeds => Object.assign({}, ...factors.map(({ feeds }) => feeds));

/** The tensor, `[N]`, with 0 for the samples that are left out. */
function without({ data, ...tensor }: Tensor, left: ReadonlySet<NotFiniteSample["sample"]>): Tensor {
  return tensorWith(
    tensor.dtype,
    tensor.dims,
    floatsIn({ data }).map((each, n) => (left.has(n) ? 0 : each)),
  );
}
