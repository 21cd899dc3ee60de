/** Options of reports, and the contents of a page. */
import type { IssueScores } from "../cleaning/types.js";
import type { ObjectiveOptions } from "../compile/objective.js";
import type { ModelOptions } from "../nn/model.js";
import type { NotFiniteOptions } from "../program/not-finite.js";

/** How the samples of a report are shown. */
export type Show =
  /**
   * The first floating-point or byte input `[N, H, W]`, `[N, C, H, W]` or `[N, H, W, C]` (C of 1 or 3), or `[N, pixels of
   * a square]`.
   */
  | "image"
  /** The texts in `texts`. */
  | "text"
  /** The first input `[N, T]` or `[N, 1, T]`, played at `rate`: its first five seconds. */
  | "sound"
  /** The numbers of the inputs, in a row. */
  | "table"
  /** Number and name only. */
  | "none";

/** Options of `writeReport`. */
export interface ReportOptions extends ObjectiveOptions, ModelOptions {
  /** Where to write the page, .html. The same numbers are written beside it, as .csv and .json. */
  readonly out: string;
  /** The page's title. Default: "Gradients of N samples". */
  readonly title?: string;
  /**
   * How samples are shown. Default: as sounds if there is a rate, as texts if there are any, as images if an input
   * looks like one, else as a row.
   */
  readonly show?: Show;
  /** The sampling rate of sounds, in Hz: a whole number. Default: none; sounds need it. */
  readonly rate?: number;
  /** A name for each sample. Default: the tensor "ids" of the data file, else its number. */
  readonly ids?: readonly string[];
  /** A text for each sample. Default: none. */
  readonly texts?: readonly string[];
  /** Names of the classes. Default: their numbers. */
  readonly classNames?: readonly string[];
  /** The scores that `findIssues` returned for the same samples. Default: none. */
  readonly scores?: IssueScores;
  /** Threads that the runtime may use. Default: all cores. */
  readonly threads?: number;
  /** Compute even if the data holds NaN or infinity. Default false. */
  readonly allowNotFinite?: boolean;
  /** Called once with the samples whose loss or gradient is not finite, if there are any. Default: a process warning. */
  readonly onNotFinite?: NotFiniteOptions["onNotFinite"];
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
  /** The number of elements of its parameters. */
  readonly elements: number;
  /** Its share of the squared norm, averaged over the samples. */
  readonly share: number;
}

/** A chart of the caller's numbers, drawn like those of the samples. */
export interface ReportChart {
  /** Lines are drawn over numbers, bars for names. */
  readonly kind: "lines" | "bars";
  /** Describes the chart for those who cannot see it. */
  readonly label: string;
  /** The labels of the axes: for `at`, and for `values`. */
  readonly axes: readonly [at: string, values: string];
  readonly at: readonly (number | string)[];
  /** A number for each element of `at`. */
  readonly series: readonly { readonly name: string; readonly values: readonly number[] }[];
  /** How numbers are written: "percent" writes shares of 1 as percentages. Default "plain". */
  readonly format?: "percent" | "plain";
}

/** A section of the page that is not about single samples. */
export interface ReportSection {
  readonly title: string;
  readonly html: string;
  /** Below the text. */
  readonly charts?: readonly ReportChart[];
  /** Before the list of samples instead of at the end of the page. Default false. */
  readonly first?: boolean;
}

/** The contents of a page. */
export interface ReportContent {
  readonly title: string;
  /** The text below the title, in HTML. */
  readonly lead: string;
  readonly samples: number;
  readonly ids?: readonly string[];
  readonly columns: readonly ReportColumn[];
  /** For classes. */
  readonly labels?: Int32Array | readonly number[];
  readonly predictions?: Int32Array | readonly number[];
  readonly suggested?: Int32Array | readonly number[];
  readonly classNames?: readonly string[];
  readonly layers: readonly ReportLayer[];
  readonly show: Show;
  /** What is shown of a sample: a data: URL of a picture or a sound, a text, or a row of numbers. */
  readonly shown: ReadonlyMap<number, string>;
  /** Sections of the caller's own. */
  readonly sections?: readonly ReportSection[];
  /** Numbers at the top: the value, and its meaning. */
  readonly facts: readonly (readonly [value: string, meaning: string])[];
}
