/** The sessions that run a program: one for all of it, or one that leaves large results to others. */

import { defect } from "../../errors.js";
import type { Value } from "../../graph/value.js";
import { encodeModel } from "../../onnx/write/encode.js";
import { entryOf, nth, present } from "../../present.js";
import { Discarded } from "../../tensor/discarded.js";
import { pieces } from "../../tensor/take-samples.js";
import { floatsIn, sizeOf, type Tensor } from "../../tensor/tensor.js";
import type { Runtime, RuntimeOptions, Session } from "../runtime.js";
import type { Running, Tensors } from "../target.js";
import type { Apart, Tail } from "./apart.js";
import { isApart, type Scheduled } from "./scheduled.js";

export class Sessions implements Running {
  readonly #loaded = new Map<boolean, Session>();
  readonly #loading = new Map<boolean, Promise<void>>();

  private constructor(
    private readonly program: Scheduled,
    private readonly runtime: Runtime,
    private readonly options: RuntimeOptions,
  ) {}

  /** Loads what one sample is run by; what others need is loaded when they come. Throws RUNTIME. */
  static async load(program: Scheduled, runtime: Runtime, options: RuntimeOptions): Promise<Sessions> {
    const sessions = new Sessions(program, runtime, options);
    await sessions.prepare(1);
    return sessions;
  }

  /** Whether what so many samples are run by is loaded: then `run` reads its feeds before it returns its promise. */
  isReady(samples: number): boolean {
    return this.#loaded.has(isApart(this.program, samples));
  }

  async prepare(samples: number): Promise<void> {
    const apart = isApart(this.program, samples);
    const loading = this.#loading.get(apart) ?? this.#load(apart);
    this.#loading.set(apart, loading);
    await loading;
  }

  async run(...[feeds, samples, seen]: Parameters<Running["run"]>): Promise<Tensors> {
    if (!this.isReady(samples)) await this.prepare(samples);
    const { handover } = this.program;
    let finished: Tensors | undefined;
    const given = await this.#session(samples).run(feeds, (returned) => {
      finished = handover.finish(returned, samples);
      seen?.(finished);
    });
    return finished ?? handover.finish(given, samples);
  }

  #session(samples: number): Session {
    const session = this.#loaded.get(isApart(this.program, samples));
    if (!session) throw defect("a program runs before its session is loaded");
    return session;
  }

  async release(): Promise<void> {
    for (const session of this.#loaded.values()) await session.release();
  }

  async #load(isApart: boolean): Promise<void> {
    const { program, runtime, options } = this;
    const { inputs } = program;
    const apart = isApart ? program.apart : undefined;
    const { outputs, order } = apart ?? { outputs: program.handover.outputs, order: program.order };
    const main = await runtime.load(encodeModel({ inputs, outputs, order }), options);
    const load = (model: Uint8Array) => runtime.load(model, options);
    this.#loaded.set(isApart, apart ? await ApartSession.load(apart, main, load) : main);
  }
}

/** A large result's last steps, loaded. */
interface Step {
  readonly name: string;
  readonly from: readonly string[];
  run(tensors: readonly Tensor[]): Promise<Tensor>;
}

/** A program, and afterwards one large result after the other from what it gives. */
class ApartSession implements Session {
  private constructor(
    private readonly main: Session,
    private readonly steps: readonly Step[],
    /** Outputs that nothing but steps reads, by the last of them. */
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

/** Last steps of the same shapes are one program: by its bytes. */
class SharedSessions {
  readonly #byBytes = new Map<string, Session>();

  constructor(private readonly load: Load) {}

  get all(): Session[] {
    return [...this.#byBytes.values()];
  }

  async of(inputs: readonly Value[], value: Value): Promise<(tensors: readonly Tensor[]) => Promise<Tensor>> {
    const bytes = encodeModel({ inputs, outputs: [{ name: "result", value }] });
    const key = Buffer.from(bytes).toString("latin1");
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

/** Of the last axis, from `start` (included) to `end` (not included). */
function columnsOf({ dims, data }: Tensor<"float32">, start: number, end: number): Tensor<"float32"> {
  const width = dims.at(-1) ?? 1;
  const size = end - start;
  const taken = new Float32Array((data.length / width) * size);
  for (let row = 0; row * width < data.length; row++)
    taken.set(data.subarray(row * width + start, row * width + end), row * size);
  return { dtype: "float32", dims: [...dims.slice(0, -1), size], data: taken };
}
