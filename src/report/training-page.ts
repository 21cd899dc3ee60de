/**
 * A page that shows the diagnostics of a training while it runs: one self-contained file, rewritten as steps are taken.
 */
import { checkOptions, invalidArgument, type OptionNames } from "../arguments.js";
import type { StepDiagnostics } from "../train/diagnosed.js";
import type { TrainingData } from "./training-html.js";

/** Options of `trainingPage`. */
export interface TrainingPageOptions {
  /** The page's title. Default: "Training". */
  readonly title?: string;
  /** The file is rewritten at most once in this many seconds, above 0. Default 1. */
  readonly seconds?: number;
}

const optionNames: OptionNames<TrainingPageOptions> = { title: true, seconds: true };

/** The most points of a chart: if there are more, evenly spaced ones are drawn. */
const mostPoints = 2000;

/** Adds the diagnostics of a step to a page; pass it as `diagnose.onDiagnostics`. Throws FILE_UNWRITABLE. */
export interface TrainingPage {
  (diagnostics: StepDiagnostics): Promise<void>;
  /**
   * Writes the page a last time and marks the training as ended, after which the page stops looking for updates. Throws
   * FILE_UNWRITABLE.
   */
  end(): Promise<void>;
}

/**
 * A page on a training: losses, gradient and step norms, the tests of the batch size, noise scale, signal-to-noise
 * ratio, curvature along the steps and alpha. You can open it from the disk while the training runs: it draws new steps
 * within a few seconds, without losing its scroll position. Pass it to `train` as `diagnose: { onDiagnostics: page }`,
 * and call `page.end()` afterwards. An empty page is written at once.
 * @param out the page's path, .html
 * @throws PergradError INVALID_ARGUMENT, FILE_UNWRITABLE.
 */
export async function trainingPage(out: string, options: TrainingPageOptions = {}): Promise<TrainingPage> {
  checkOptions("trainingPage(out, options)", options, optionNames);
  if (typeof out !== "string" || !/\.html?$/i.test(out))
    throw invalidArgument("The name of a training page must end in .html; correct it.");
  const { title = "Training", seconds = 1 } = options;
  if (!(typeof seconds === "number" && seconds > 0))
    throw invalidArgument(`trainingPage: seconds must be a number above 0, not ${String(seconds)}.`);
  // The parts of pages are loaded when a page is made.
  const [{ clientScript }, { trainingHtml }, { writeFileSafely }] = await Promise.all([
    import("./client-script.js"),
    import("./training-html.js"),
    import("../io/atomic.js"),
  ]);
  const client = await clientScript("training");
  const writer = new Writer(title, (data) =>
    writeFileSafely(out, new TextEncoder().encode(trainingHtml(data, client))),
  );
  await writer.write();
  const page = async (diagnostics: StepDiagnostics) => {
    writer.steps.push(diagnostics);
    if (performance.now() - writer.written >= 1000 * seconds) await writer.write();
  };
  return Object.assign(page, { end: () => writer.end() });
}

class Writer {
  readonly steps: StepDiagnostics[] = [];
  /** When the file was last written, in milliseconds. */
  written = Number.NEGATIVE_INFINITY;
  readonly #run = Date.now().toString(36);
  #version = 0;

  constructor(
    private readonly title: string,
    private readonly replace: (data: TrainingData) => Promise<void>,
  ) {}

  async write(ended = false): Promise<void> {
    const { title, steps } = this;
    await this.replace({
      title,
      run: this.#run,
      version: ++this.#version,
      ended,
      taken: steps.length,
      steps: thinned(steps),
    });
    this.written = performance.now();
  }

  end(): Promise<void> {
    return this.write(true);
  }
}

/** The last step, and evenly spaced ones before it. */
function thinned(steps: readonly StepDiagnostics[]): StepDiagnostics[] {
  const every = Math.ceil(steps.length / mostPoints);
  return steps.filter((_, k) => (steps.length - 1 - k) % every === 0);
}
