/** report: a page on a model's data. */
import { readFile } from "node:fs/promises";
import { PergradError } from "../errors.js";
import { unreadable } from "../io/failure.js";
import { contentOf } from "../report/collect.js";
import type { ReportOptions, Show } from "../report/types.js";
import { writePage } from "../report/write.js";
import { classesOf } from "./classes.js";
import type { Io } from "./io.js";
import type { Progress } from "./progress.js";
import { checkPage, type DataTask, dataTaskOf, type TaskOptions } from "./task.js";

/** How samples are shown and named. */
export interface ShowOptions {
  readonly show?: Show;
  readonly rate?: number;
  readonly ids?: string;
  readonly texts?: string;
  /** With commas between, or the name of a .json file. */
  readonly classNames?: string;
  readonly title?: string;
}

export interface ReportCommandOptions extends TaskOptions, ShowOptions {
  readonly data: string;
  readonly report: string;
}

export async function report(
  modelFile: string,
  options: ReportCommandOptions,
  io: Io,
  progress: Progress,
): Promise<void> {
  await checkPage(options.report, [modelFile, options.data, options.ids, options.texts]);
  const task = await dataTaskOf(modelFile, options, progress);
  progress.stage("losses and norms");
  const written = await writePage(
    await contentOf(task.objective, task.feeds, await showing(options, task)),
    options.report,
  );
  progress.stop();
  io.stdout.write(`wrote ${written.join(", ")}\n`);
}

/** The options on how samples are shown. Throws FILE_UNREADABLE, BATCH_MISMATCH. */
export async function showing(
  options: ShowOptions & Pick<TaskOptions, "threads">,
  { samples, ids: own }: Pick<DataTask, "samples" | "ids">,
): Promise<Omit<ReportOptions, "out" | "loss">> {
  const { show, rate, title, classNames, threads } = options;
  const ids = options.ids === undefined ? own?.names : await lines(options.ids, samples);
  const texts = options.texts === undefined ? undefined : await lines(options.texts, samples);
  return {
    ...(show === undefined ? {} : { show }),
    ...(rate === undefined ? {} : { rate }),
    ...(title === undefined ? {} : { title }),
    ...(classNames === undefined ? {} : { classNames: await classesOf(classNames) }),
    ...(threads === undefined ? {} : { threads }),
    ...(ids === undefined ? {} : { ids }),
    ...(texts === undefined ? {} : { texts }),
  };
}

/** A line for each sample; or an entry of a JSON array, in which a text may have several lines. */
async function lines(path: string, samples: number): Promise<string[]> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw unreadable(path, error);
  });
  const found = /^\s*\[/.test(text) ? entriesOf(path, text) : text.replace(/\r?\n$/, "").split(/\r?\n/);
  if (found.length === samples) return found;
  throw new PergradError(
    "BATCH_MISMATCH",
    `"${path}" has ${found.length} entries for ${samples} samples; give one line, or one element of a JSON array, for each.`,
  );
}

function entriesOf(path: string, text: string): string[] {
  try {
    const found: unknown = JSON.parse(text);
    if (Array.isArray(found)) return found.map(String);
  } catch (error) {
    throw new PergradError("FILE_UNREADABLE", `"${path}" begins like a JSON array but is not valid JSON; correct it.`, {
      cause: error,
    });
  }
  return text.split(/\r?\n/);
}
