/** Observers of a compile. No result depends on them. */

import type { OnRewrite } from "../graph/rewritten.js";
import type { Graph, Value } from "../graph/value.js";
import { leavesOf } from "../graph/walk.js";
import type { Explanation } from "./explanation.js";
import type { Profile } from "./profile.js";

/**
 * - `traced`: the model, as it was loaded or traced
 * - `objective`: its outputs, and one loss for each sample
 * - `gradient`: the losses, and the factors of each parameter's per-sample gradient, not materialised
 * - `planned`: all that is wanted, by the methods that were chosen
 * - `optimised`: the same after the rewriting rules
 * - `lowered`: the same with long sums in blocks
 * - `scheduled`: the graph that the runtime is given, with work-arounds for its faults and small results packed
 * - `loaded`: the same graph; its time is what the runtime took to load it
 */
export type StageName = (typeof stageNames)[number];

/** In their order. */
const stageNames = [
  "traced",
  "objective",
  "gradient",
  "planned",
  "optimised",
  "lowered",
  "scheduled",
  "loaded",
] as const;

/** How far a compile is. */
export interface CompileProgress {
  /** The stage that has just ended. A program that is planned again for a memory budget comes to `gradient` several times. */
  readonly stage: StageName;
  /** The number of that stage, from 1. */
  readonly done: number;
  /** The number of all stages. The program is compiled when `done` equals it. */
  readonly total: number;
}

/** Callbacks of a caller that waits for a compile, and may want to end it. */
export interface Waiting {
  /** Called when a stage has ended. */
  readonly onCompile?: ((progress: CompileProgress) => void) | undefined;
  /** Ends the compile between two stages. */
  readonly signal?: AbortSignal | undefined;
}

/** A stage that a compile has reached. */
export interface Stage {
  /** Which stage of the compiler has just ended. */
  readonly name: StageName;
  /** The graph at that time; everything that is fed is among its inputs and parameters. */
  readonly graph: Graph;
  /** The axis of each input that holds the samples; null for an input that all samples share. */
  readonly sampleAxes: Readonly<Record<string, number | null>>;
  /** The time of this stage. */
  readonly milliseconds: number;
  /**
   * For `loaded`: the graph as the runtime's own optimizer rewrites it, as an ONNX file, if the runtime can show it.
   */
  readonly asRun?: () => Promise<Uint8Array>;
}

/** Callbacks that follow a compile. A program that is planned again for a memory budget reaches `gradient` several times. */
export interface Observer {
  /** Receives each stage's graph once it is made. */
  readonly onStage?: (stage: Stage) => void;
  /** Called with each rewrite; `RewriteLog` collects them. */
  readonly onRewrite?: OnRewrite;
  /** Called with the plan, once it is made. */
  readonly onPlan?: (explanation: Explanation) => void;
  /**
   * Called with time and bytes by node for the first batch that is run. Setting it runs that batch again, several
   * times, in a session with the runtime's profiler.
   */
  readonly onProfile?: (profile: Profile) => void;
}

/** One observer that calls several others. */
export function together(...observers: readonly (Observer | undefined)[]): Observer {
  const tell = (act: (observer: Observer) => void) => {
    for (const observer of observers) if (observer) act(observer);
  };
  return {
    onStage: (stage) => tell(({ onStage }) => onStage?.(stage)),
    onRewrite: (step) => tell(({ onRewrite }) => onRewrite?.(step)),
    onPlan: (explanation) => tell(({ onPlan }) => onPlan?.(explanation)),
    // Setting it causes further runs.
    ...(observers.some((observer) => observer?.onProfile)
      ? { onProfile: (profile) => tell(({ onProfile }) => onProfile?.(profile)) }
      : {}),
  };
}

/** Notifies an observer of the stages that a compile reaches. */
export class Stages {
  #since = performance.now();

  constructor(
    private readonly observer: Observer = {},
    private readonly sampleAxes: Stage["sampleAxes"] = {},
    private readonly waiting: Waiting = {},
  ) {}

  get onRewrite(): OnRewrite | undefined {
    return this.observer.onRewrite;
  }

  /** The same, with the sample axes that are known once the loss has added a target. */
  with(sampleAxes: Stage["sampleAxes"]): Stages {
    const next = new Stages(this.observer, sampleAxes, this.waiting);
    next.#since = this.#since;
    return next;
  }

  /** Reports that a stage has ended in another thread. */
  reachedElsewhere(name: string): void {
    const stage = stageNames.find((each) => each === name);
    if (stage) this.#tell(stage);
  }

  #tell(stage: StageName): void {
    this.waiting.onCompile?.({ stage, done: stageNames.indexOf(stage) + 1, total: stageNames.length });
  }

  /** Lets the event loop turn if the caller shows progress or may end the compile. Throws the signal's reason. */
  async pause(): Promise<void> {
    const { onCompile, signal } = this.waiting;
    if (!onCompile && !signal) return;
    await new Promise((resolve) => setTimeout(resolve));
    signal?.throwIfAborted();
  }

  /** @param outputs by name; the graph is made from them only if there is an observer */
  reached(name: StageName, outputs: () => Graph["outputs"], asRun?: Stage["asRun"]): void {
    this.#tell(name);
    const { onStage } = this.observer;
    if (!onStage) return;
    const milliseconds = performance.now() - this.#since;
    const { sampleAxes } = this;
    onStage({ name, graph: graphOf(outputs()), sampleAxes, milliseconds, ...(asRun ? { asRun } : {}) });
    this.#since = performance.now();
  }
}

/** The graph that the outputs reach. */
export function graphOf(outputs: Graph["outputs"]): Graph {
  const leaves = leavesOf(outputs.map(({ value }) => value));
  const of = (kind: Value["source"]["kind"]) => leaves.filter(({ source }) => source.kind === kind);
  return { inputs: of("input"), parameters: of("parameter"), outputs };
}
