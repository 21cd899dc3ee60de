/** The interface of a method of attribution. */
import type { Dataset } from "../program/given-data.js";
import type { Checkpoint } from "./checkpoint.js";
import type { Table } from "./table.js";

/** What scores are computed from. */
export interface Setting {
  /** The model at one or more checkpoints. */
  readonly checkpoints: readonly Checkpoint[];
  readonly train: Dataset;
}

/** Scores, and the choices made on the way. */
export interface Scored {
  /** `[Q, N]`: queries by training samples. */
  readonly table: Table;
  /** The damping at each checkpoint, if the method has one. */
  readonly dampings?: readonly number[];
}

/** How a method treats some parameters. */
export interface Approximated {
  /** The names of parameters that form one block. */
  readonly parameters: readonly string[];
  /** In a few words: "exact", "Kronecker (expand)", "exact block", "diagonal", "projection of factors", ... */
  readonly approximation: string;
  /** The same as the end of a sentence that begins with the parameters. */
  readonly how: string;
}

/** All parameters, treated alike. */
export function alike(checkpoint: Checkpoint, approximation: string, how: string): Approximated[] {
  return checkpoint.parameters.map((name) => ({ parameters: [name], approximation, how }));
}

/** A method of attribution; `attribution.gradDot()`, `attribution.influence(...)`, ... make them. */
export interface Method {
  /** Its name: "tracIn". */
  readonly name: string;
  /** Its settings, as far as they are plain data: an index's manifest holds them. */
  readonly settings: Readonly<Record<string, string | number | boolean | readonly number[]>>;
  /** Settings that follow from a model unless given, for explanations. */
  shown?(checkpoint: Checkpoint): Method["settings"];
  /** The score of each training sample for each query. */
  scores(setting: Setting, queries: Dataset): Promise<Scored>;
  /** The scores of each checkpoint alone, for methods whose scores are N times changes of the query's loss. */
  each?(setting: Setting, queries: Dataset): Promise<readonly Table[]>;
  /** How each parameter is approximated; each parameter occurs once. Needs no data. */
  explain(checkpoint: Checkpoint): Promise<readonly Approximated[]>;
  /** Each training sample's score with itself, `[N]`. */
  self(setting: Setting): Promise<Float64Array>;
}
