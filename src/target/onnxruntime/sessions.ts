/** The sessions that run a program: one for all of it, or one that leaves large results to others. */

import { defect } from "../../errors.js";
import type { Value } from "../../graph/value.js";
import { encodeModel } from "../../onnx/write/encode.js";
import { InMemory } from "../../onnx/write/external-data.js";
import { entryOf, nth, present } from "../../present.js";
import { Discarded } from "../../tensor/discarded.js";
import { pieces } from "../../tensor/take-samples.js";
import { floatsIn, sizeOf, type Tensor } from "../../tensor/tensor.js";
import type { Runtime, RuntimeOptions, Session } from "../runtime.js";
import type { Running, Tensors } from "../target.js";
import type { Apart, Tail } from "./apart.js";
import { releasedError } from "./exchange.js";
import { contentsOf, mayBlockConvolutions } from "./optimizers.js";
import { isApart, type Scheduled } from "./scheduled.js";

/**
 * How a batch is run: by the program as it is, by one that holds parameters, or with large results computed separately.
 */
type Way = "fed" | "held" | "apart";

export class Sessions implements Running {
  readonly #loaded = new Map<Way, Session>();
  readonly #loading = new Map<Way, Promise<void>>();
  #released = false;

  private constructor(
    private readonly program: Scheduled,
    private readonly runtime: Runtime,
    private readonly options: RuntimeOptions,
    readonly held: ReadonlySet<string>,
  ) {}

  /** Loads the sessions that one sample needs; others are loaded when they are needed. Throws RUNTIME. */
  static async load(program: Scheduled, runtime: Runtime, options: RuntimeOptions, held: Tensors): Promise<Sessions> {
    const sessions = new Sessions(program, runtime, options, new Set(Object.keys(held)));
    const way = sessions.#way({}, 1);
    if (way === "held") sessions.#loaded.set(way, await sessions.#loadHeld(held));
    else await sessions.#prepare(way);
    return sessions;
  }

  get looksAt(): ReadonlySet<string> {
    return this.program.handover.searchedInputs;
  }

  /** Whether the sessions for these feeds are loaded: then `run` reads the feeds before it returns its promise. */
  isReady(feeds: Tensors, samples: number): boolean {
    return this.#loaded.has(this.#way(feeds, samples));
  }

  /** A feed that replaces a held parameter goes to the program as it is. */
  #way(feeds: Tensors, samples: number): Way {
    if (isApart(this.program, samples)) return "apart";
    return this.held.size > 0 && !Object.keys(feeds).some((name) => this.held.has(name)) ? "held" : "fed";
  }

  async #prepare(way: Way): Promise<void> {
    if (this.#released) throw releasedError();
    const loading = this.#loading.get(way) ?? this.#load(way);
    this.#loading.set(way, loading);
    await loading;
  }

  async run(...[feeds, samples, seen]: Parameters<Running["run"]>): Promise<Tensors> {
    const way = this.#way(feeds, samples);
    if (!this.#loaded.has(way)) await this.#prepare(way);
    const { handover } = this.program;
    let finished: Tensors | undefined;
    const given = await this.#session(way).run(feeds, (returned) => {
      const { results, finite } = handover.finish(returned, samples);
      finished = results;
      seen?.(results, finite);
    });
    return finished ?? handover.finish(given, samples).results;
  }

  #session(way: Way): Session {
    const session = this.#loaded.get(way);
    if (!session) throw defect("a program runs before its session is loaded");
    return session;
  }

  /** A session that is still loading is released as soon as it is loaded. */
  async release(): Promise<void> {
    this.#released = true;
    await Promise.allSettled(this.#loading.values());
    for (const session of this.#loaded.values()) await session.release();
  }

  #loadHeld(held: Tensors): Promise<Session> {
    const { program, runtime } = this;
    const { outputs, order } = program;
    const inputs = program.inputs.filter(({ name }) => !Object.hasOwn(held, name));
    const storage = new InMemory();
    const model = encodeModel({ inputs, outputs, order, parameters: held }, storage);
    const contents = contentsOf(outputs.map(({ value }) => value));
    const blockedConvolutions = mayBlockConvolutions(contents.operators);
    const { files } = storage;
    return runtime.load(model, { ...this.options, files, blockedConvolutions, ...contents, distinct: true });
  }

  async #load(way: Way): Promise<void> {
    const { program, runtime, options } = this;
    const { inputs } = program;
    const apart = way === "apart" ? program.apart : undefined;
    const { outputs, order } = apart ?? program;
    const contents = contentsOf(outputs.map(({ value }) => value));
    const own = { ...options, ...contents, distinct: !apart };
    const main = await runtime.load(encodeModel({ inputs, outputs, order }), own);
    const load = (model: Uint8Array) => runtime.load(model, options);
    this.#loaded.set(way, apart ? await ApartSession.load(apart, main, load) : main);
  }
}

/** The last steps of a large result, loaded. */
interface Step {
  readonly name: string;
  readonly from: readonly string[];
  run(tensors: readonly Tensor[]): Promise<Tensor>;
}

/** Runs a program, and then computes one large result after another from its outputs. */
class ApartSession implements Session {
  private constructor(
    private readonly main: Session,
    private readonly steps: readonly Step[],
    /** Outputs that only steps read, by the last step that reads them. */
    private readonly freed: ReadonlyMap<Step, readonly string[]>,
    private readonly sessions: readonly Session[],
  ) {}

  static async load({ tails, factors }: Apart, main: Session, load: Load): Promise<ApartSession> {
    const shared = new SharedSessions(load);
    const steps: Step[] = [];
    for (const tail of tails) steps.push(await stepOf(tail, shared));
    const last = new Map(steps.flatMap((step) => step.from.map((name) => [name, step] as const)));
    const freed = steps.map((step) => [step, factors.filter((name) => last.get(name) === step)] as const);
    return new ApartSession(main, steps, new Map(freed), shared.all);
  }

  async run(feeds: Tensors): Promise<Record<string, Tensor>> {
    const given = await this.main.run(feeds);
    const discarded = new Discarded();
    for (const step of this.steps) {
      given[step.name] = await step.run(step.from.map((name) => entryOf(given, name)));
      const names = this.freed.get(step) ?? [];
      discarded.add(names.map((name) => entryOf(given, name)));
      for (const name of names) delete given[name];
    }
    return given;
  }

  async release(): Promise<void> {
    for (const session of [this.main, ...this.sessions]) await session.release();
  }
}

type Load = (model: Uint8Array) => Promise<Session>;

/** Last steps of equal shapes are one program: they are shared by their bytes. */
class SharedSessions {
  readonly #byBytes = new Map<string, Session>();

  constructor(private readonly load: Load) {}

  get all(): Session[] {
    return [...this.#byBytes.values()];
  }

  async of(inputs: readonly Value[], value: Value): Promise<(tensors: readonly Tensor[]) => Promise<Tensor>> {
    const bytes = encodeModel({ inputs, outputs: [{ name: "result", value }] });
    // A character for each byte.
    const key = new TextDecoder("latin1").decode(bytes);
    const session = this.#byBytes.get(key) ?? (await this.load(bytes));
    this.#byBytes.set(key, session);
    return async (tensors) => {
      const feeds = Object.fromEntries(inputs.map(({ name }, k) => [name, nth(tensors, k)]));
      return present((await session.run(feeds)).result);
    };
  }
}

async function stepOf({ name, from, inputs, value, rows }: Tail, sessions: SharedSessions): Promise<Step> {
  if (!rows) return { name, from, run: await sessions.of(inputs, value) };
  const ofSize = async (size: number) => {
    const block = rows.of(size);
    return sessions.of(block.inputs, block.value);
  };
  const blocks = [...pieces(rows.count, rows.size)];
  const [usual, last] = [await ofSize(rows.size), await ofSize(lengthOf(blocks.at(-1)))];
  const run = async ([first, ...others]: readonly Tensor[]) => {
    const dims = value.shape.map(Number);
    const data = new Float32Array(sizeOf(dims));
    const discarded = new Discarded();
    for (const [k, [start, end]] of blocks.entries()) {
      const columns = columnsOf(first as Tensor<"float32">, start, end);
      const part = await (k === blocks.length - 1 ? last : usual)([columns, ...others]);
      data.set(floatsIn(part), start * (sizeOf(dims) / rows.count));
      discarded.add([columns, part]);
    }
    return { dtype: "float32", dims, data } as const;
  };
  return { name, from, run };
}

function lengthOf([start, end]: readonly [number, number] = [0, 0]): number {
  return end - start;
}

/** Columns of the last axis, from `start` (included) to `end` (not included). */
function columnsOf({ dims, data }: Tensor<"float32">, start: number, end: number): Tensor<"float32"> {
  const width = dims.at(-1) ?? 1;
  const size = end - start;
  const taken = new Float32Array((data.length / width) * size);
  for (let row = 0; row * width < data.length; row++)
    taken.set(data.subarray(row * width + start, row * width + end), row * size);
  return { dtype: "float32", dims: [...dims.slice(0, -1), size], data: taken };
}
