/** What a method of attribution is. */
import type { Dataset } from "../program/given-data.js";
import type { Checkpoint } from "./checkpoint.js";
import type { Table } from "./table.js";

/** What scores are computed from. */
export interface Setting {
  /** At least one. */
  readonly checkpoints: readonly Checkpoint[];
  readonly train: Dataset;
}

/** Scores, and what was chosen on the way. */
export interface Scored {
  /** `[Q, N]`: queries by training samples. */
  readonly table: Table;
  /** Of each checkpoint, where the method has a damping. */
  readonly dampings?: readonly number[];
}

/** What a method takes of some parameters. */
export interface Approximated {
  /** Their names: those that are taken as one block. */
  readonly parameters: readonly string[];
  /** In a few words: "exact", "Kronecker (expand)", "exact block", "diagonal", "projection of factors", ... */
  readonly approximation: string;
  /** The same as the end of a sentence that begins with what is approximated. */
  readonly how: string;
}

/** All parameters alike. */
export function alike(checkpoint: Checkpoint, approximation: string, how: string): Approximated[] {
  return checkpoint.parameters.map((name) => ({ parameters: [name], approximation, how }));
}

/** A method of attribution; `attribution.gradDot()`, `attribution.influence(...)`, ... make them. */
export interface Method {
  /** What it is called: "tracIn". */
  readonly name: string;
  /** How it is set, as far as that is data: what an index's manifest holds. */
  readonly settings: Readonly<Record<string, string | number | boolean | readonly number[]>>;
  /** Settings that follow from a model where they are not given, for explanations. */
  shown?(checkpoint: Checkpoint): Method["settings"];
  /** What each training sample does to each query. */
  scores(setting: Setting, queries: Dataset): Promise<Scored>;
  /** Each checkpoint's scores alone; of methods whose scores are N times changes of the query's loss. */
  each?(setting: Setting, queries: Dataset): Promise<readonly Table[]>;
  /** By which approximation each parameter takes part; each parameter once. Nothing is computed of data. */
  explain(checkpoint: Checkpoint): Promise<readonly Approximated[]>;
  /** Each training sample's score with itself, `[N]`. */
  self(setting: Setting): Promise<Float64Array>;
}
