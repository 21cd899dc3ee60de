/** Options of reports, and what a page is made of. */
import type { IssueScores } from "../cleaning/types.js";
import type { ObjectiveOptions } from "../compile/objective.js";
import type { ModelOptions } from "../nn/model.js";

/** How the samples of a report are shown. */
export type Show =
  /** The first floating-point or byte input `[N, H, W]`, `[N, C, H, W]` (C of 1 or 3) or `[N, pixels of a square]`. */
  | "image"
  /** `texts`. */
  | "text"
  /** The numbers of the inputs, in a row. */
  | "table"
  /** By number and name alone. */
  | "none";

/** Options of `writeReport`. */
export interface ReportOptions extends ObjectiveOptions, ModelOptions {
  /** Where to write the page, .html. Beside it stand the same numbers, as .csv and .json. */
  readonly out: string;
  /** The page's title. Default: "Gradients of N samples". */
  readonly title?: string;
  /** How samples are shown. Default: as texts where there are some, as images where an input looks like one, else as a row. */
  readonly show?: Show;
  /** A name for each sample. Default: its number. */
  readonly ids?: readonly string[];
  /** A text for each sample. Default: none. */
  readonly texts?: readonly string[];
  /** Names of the classes. Default: their numbers. */
  readonly classNames?: readonly string[];
  /** Scores that `findIssues` gave for the same samples. Default: none. */
  readonly scores?: IssueScores;
  /** Threads that the runtime may use. Default: all cores. */
  readonly threads?: number;
  /** Compute even where the data holds NaN or infinity. Default false. */
  readonly allowNotFinite?: boolean;
}

/** A number for each sample. */
export interface ReportColumn {
  readonly key: string;
  readonly name: string;
  readonly values: Float32Array | readonly number[];
}

/** A parameter's part of the gradients. */
export interface ReportLayer {
  readonly name: string;
  /** Of all numbers of the parameters. */
  readonly elements: number;
  /** Of the squared norm, mean over the samples. */
  readonly share: number;
}

/** What a page shows. */
export interface ReportContent {
  readonly title: string;
  /** What stands below the title, in HTML. */
  readonly lead: string;
  readonly samples: number;
  readonly ids?: readonly string[];
  readonly columns: readonly ReportColumn[];
  /** Of classes. */
  readonly labels?: Int32Array | readonly number[];
  readonly predictions?: Int32Array | readonly number[];
  readonly suggested?: Int32Array | readonly number[];
  readonly classNames?: readonly string[];
  readonly layers: readonly ReportLayer[];
  readonly show: Show;
  /** What is shown of a sample: a data: address of a picture, a text, or a row of numbers. */
  readonly shown: ReadonlyMap<number, string>;
  /** Sections of the caller's own, in HTML, after those of the samples. */
  readonly sections?: readonly { readonly title: string; readonly html: string }[];
  /** Numbers at the top: what is said, and what it says. */
  readonly facts: readonly (readonly [value: string, meaning: string])[];
}
