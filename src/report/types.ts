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
  /** The first input `[N, T]` or `[N, 1, T]`, played at `rate`: its first five seconds. */
  | "sound"
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
  /** How samples are shown. Default: as sounds where there is a rate, as texts where there are some, as images where an input looks like one, else as a row. */
  readonly show?: Show;
  /** How many numbers make a second of sound, in Hz: a whole number. Default: none; sounds need it. */
  readonly rate?: number;
  /** A name for each sample. Default: what the tensor "ids" of the data file says, else its number. */
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
  /** Called now and then with the number of samples so far. Default: no call. */
  readonly onProgress?: (samples: number) => void;
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

/** A chart of numbers that the caller knows, drawn as those of the samples are. */
export interface ReportChart {
  /** Lines run over numbers, bars stand side by side for names. */
  readonly kind: "lines" | "bars";
  /** Says what is drawn to those who cannot see it. */
  readonly label: string;
  /** What the axes say: of `at`, and of `values`. */
  readonly axes: readonly [at: string, values: string];
  readonly at: readonly (number | string)[];
  /** A number for each of `at`. */
  readonly series: readonly { readonly name: string; readonly values: readonly number[] }[];
  /** How numbers are written: shares of 1 as percentages. Default plain. */
  readonly format?: "percent" | "plain";
}

/** A part of the page that is not about single samples. */
export interface ReportSection {
  readonly title: string;
  readonly html: string;
  /** Below the text. */
  readonly charts?: readonly ReportChart[];
  /** Before the list of samples instead of at the page's end. Default false. */
  readonly first?: boolean;
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
  /** What is shown of a sample: a data: address of a picture or a sound, a text, or a row of numbers. */
  readonly shown: ReadonlyMap<number, string>;
  /** Sections of the caller's own. */
  readonly sections?: readonly ReportSection[];
  /** Numbers at the top: what is said, and what it says. */
  readonly facts: readonly (readonly [value: string, meaning: string])[];
}
