/** report: a page on a model's data. */
import { contentOf } from "../report/collect.js";
import type { ReportOptions, Show } from "../report/types.js";
import { writePage } from "../report/write.js";
import type { Io } from "./io.js";
import { classesOf, entriesIn } from "./lists.js";
import type { Progress } from "./progress.js";
import { checkPage, type DataTask, dataTaskOf, type TaskOptions, threadsOf } from "./task.js";

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
  const content = await contentOf(task.objective, task.feeds, {
    ...(await showing(options, task)),
    onNotFinite: ({ message }) =>
      progress.warn(`${message.slice(0, -1)}; the page shows such samples as "not finite".`),
  });
  const written = await writePage(content, options.report);
  progress.stop();
  io.stdout.write(`wrote ${written.join(", ")}\n`);
}

/** The options on how samples are shown. Throws FILE_UNREADABLE, BATCH_MISMATCH. */
export async function showing(
  options: ShowOptions & Pick<TaskOptions, "threads">,
  { samples, ids: own }: Pick<DataTask, "samples" | "ids">,
): Promise<Omit<ReportOptions, "out" | "loss">> {
  const { show, rate, title, classNames } = options;
  const ids = options.ids === undefined ? own?.names : await entriesIn(options.ids, samples);
  const texts = options.texts === undefined ? undefined : await entriesIn(options.texts, samples);
  return {
    ...(show === undefined ? {} : { show }),
    ...(rate === undefined ? {} : { rate }),
    ...(title === undefined ? {} : { title }),
    ...(classNames === undefined ? {} : { classNames: await classesOf(classNames) }),
    ...threadsOf(options),
    ...(ids === undefined ? {} : { ids }),
    ...(texts === undefined ? {} : { texts }),
  };
}
