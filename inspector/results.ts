/** Shows the measurements. */

import type { Model } from "../src/index.js";
import { csvOf } from "../src/io/table.js";
import type { LossName } from "../src/nn/as-loss.js";
import type { ExplainedParameter } from "../src/plan/explain.js";
import { questionNames, questions } from "../src/plan/questions.js";
import type { ClassNames } from "./classes.js";
import { download, element, number, table } from "./dom.js";
import { histogram } from "./histogram.js";
import { paint, pictureOf, textOf } from "./sample.js";
import { type Ended, type Feeds, type Study, taught } from "./study.js";
import { Work } from "./work.js";

/** The model and data that are measured. */
export interface Subject {
  readonly model: Model;
  readonly feeds: Feeds;
  readonly loss: LossName;
  /** What is shown for each sample. */
  readonly rows: readonly string[] | undefined;
  /** Whether these are texts. */
  readonly isText: boolean;
  readonly names: ClassNames;
}

interface Shown extends Subject {
  readonly study: Study;
}

/** The number of cards at first, and how many are added each time. */
const few = 24;

/** Milliseconds between two updates while samples are still being measured. */
const pause = 500;

export class Results {
  readonly #section = element("results", HTMLElement);
  readonly #by = element("by", HTMLSelectElement);
  readonly #order = element("order", HTMLSelectElement);
  readonly #class = element("class", HTMLSelectElement);
  readonly #attribution = element("attribution", HTMLElement);
  #shown: Shown | undefined;
  /** The program, present once everything has been measured. */
  #program: Ended | undefined;
  /** The comparison with one sample that is going on. */
  #explaining: Work | undefined;
  #cards = few;
  #drawn = Number.NEGATIVE_INFINITY;

  /** @param report receives messages on what is going on, or what went wrong */
  constructor(private readonly report: { status(text: string): void; problem(error: unknown): void }) {
    for (const select of [this.#by, this.#order, this.#class]) select.addEventListener("change", () => this.#list(few));
    element("more", HTMLButtonElement).addEventListener("click", () => this.#more());
    element("csv", HTMLButtonElement).addEventListener("click", () => this.#export());
    element("program", HTMLButtonElement).addEventListener("click", () => this.#save());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#chart());
    addEventListener("resize", () => this.#chart());
  }

  hide(): void {
    this.#explaining?.cancel();
    this.#explaining = undefined;
    this.#section.hidden = true;
    this.#attribution.hidden = true;
    this.#shown = undefined;
    this.#program = undefined;
    this.#drawn = Number.NEGATIVE_INFINITY;
  }

  /** Samples as they arrive; drawn at intervals. */
  part(subject: Subject, study: Study): void {
    const first = this.#shown === undefined;
    this.#shown = { ...subject, study };
    if (performance.now() - this.#drawn < pause) return;
    this.#drawn = performance.now();
    if (first) this.#begin();
    this.#summary();
    this.#chart();
    // Keeps a card whose button a user is about to press.
    if (!element("cards", HTMLOListElement).contains(document.activeElement)) this.#list(this.#cards);
  }

  #begin(): void {
    this.#section.hidden = false;
    this.#section.setAttribute("aria-busy", "true");
    const { study } = this.#measured();
    this.#by.replaceChildren(
      new Option("gradient norm", "norm"),
      new Option("loss", "loss"),
      ...[...study.byParameter.keys()].map((name) => new Option(`norm of ${name}`, `of ${name}`)),
    );
    this.#class.replaceChildren(new Option("all", ""));
    element("class-label", HTMLElement).hidden = true;
    element("rest", HTMLElement).hidden = true;
    this.#cards = few;
  }

  /** Everything that needs all samples. */
  finish(subject: Subject, study: Study, program: Ended): void {
    if (!this.#shown || this.#section.hidden) {
      this.#shown = { ...subject, study };
      this.#begin();
    }
    this.#shown = { ...subject, study };
    this.#program = program;
    const classes = [...new Set(study.classes ?? [])].sort((a, b) => a - b);
    element("class-label", HTMLElement).hidden = classes.length === 0;
    this.#class.append(...classes.map((each) => new Option(subject.names.of(each), `${each}`)));
    const { rows, notes } = program.explain();
    element("plan", HTMLElement).replaceChildren(planTable(rows), ...notes.map(noteOf));
    element("plan-text", HTMLElement).textContent = String(program.explain());
    element("classes", HTMLElement).replaceChildren(classTable(this.#measured(), classes));
    element("parameters", HTMLElement).replaceChildren(parameterTable(this.#measured()));
    element("rest", HTMLElement).hidden = false;
    this.#section.removeAttribute("aria-busy");
    this.#summary();
    this.#chart();
    this.#list(this.#cards);
  }

  #measured(): Shown {
    if (!this.#shown) throw new Error("Nothing is measured yet.");
    return this.#shown;
  }

  #summary(): void {
    const { study, names } = this.#measured();
    const { samples, total, predicted, classes } = study;
    const wrong = predicted && classes ? predicted.filter((each, n) => each !== classes[n]).length : null;
    const accuracy = wrong === null ? "" : ` The model takes ${wrong} of them for another class.`;
    const counted = samples < total ? `${samples} of ${total} samples so far` : `${samples} samples`;
    const named = `${names}` === "" ? "" : ` Classes: ${names}.`;
    element("summary", HTMLElement).textContent =
      `${counted}, measured in ${(study.milliseconds / 1000).toFixed(1)} s; mean loss ${number(mean(study.losses))}, mean gradient norm ${number(mean(study.norms))}.${accuracy}${named}`;
  }

  #chart(): void {
    if (!this.#shown) return;
    const fresh = document.createElement("div");
    fresh.id = "histogram";
    element("histogram", HTMLElement).replaceWith(fresh);
    histogram(fresh, this.#shown.study.norms, "gradient norm");
  }

  #values({ study }: Shown): Float32Array {
    const by = this.#by.value;
    if (by === "loss") return study.losses;
    return study.byParameter.get(by.slice("of ".length)) ?? study.norms;
  }

  /** @param count the number of cards that are shown, if there are that many */
  #list(count: number): void {
    if (!this.#shown) return;
    const { study } = this.#shown;
    const values = this.#values(this.#shown);
    const chosen = this.#class.value;
    const sign = Number(this.#order.value);
    const samples = [...values.keys()].filter((n) => chosen === "" || study.classes?.[n] === Number(chosen));
    // Values that are not finite come first, because users look for them.
    const rank = (n: number) => (Number.isFinite(values[n]) ? sign * (values[n] ?? 0) : Number.NEGATIVE_INFINITY);
    samples.sort((a, b) => rank(a) - rank(b));
    this.#cards = count;
    this.#fill("cards", samples.slice(0, count));
    element("shown", HTMLElement).textContent =
      `${Math.min(count, samples.length)} of ${samples.length} samples are shown.`;
    element("more", HTMLButtonElement).hidden = samples.length <= count;
  }

  /** Moves the focus to the first new card. */
  #more(): void {
    const before = this.#cards;
    this.#list(before + few);
    element("cards", HTMLOListElement).children[before]?.querySelector("button")?.focus();
  }

  #fill(id: string, samples: readonly number[], more: (sample: number) => string = () => ""): void {
    const template = element("card", HTMLTemplateElement);
    if (!this.#shown) return;
    const { model, feeds, rows, isText, names, study } = this.#shown;
    element(id, HTMLOListElement).classList.toggle("texts", isText);
    const cards = samples.map((n) => {
      const card = document.importNode(template.content, true);
      const [canvas, content, sample, numbers, button] = ["canvas", ".content", ".sample", ".numbers", "button"].map(
        (selector) => card.querySelector(selector),
      );
      const picture = pictureOf(model, feeds, n);
      const label = study.classes ? `class ${names.of(study.classes[n])}` : "";
      const predicted =
        study.predicted && study.predicted[n] !== study.classes?.[n] ? `predicted ${names.of(study.predicted[n])}` : "";
      if (picture && canvas instanceof HTMLCanvasElement) {
        paint(canvas, picture);
        canvas.hidden = false;
        canvas.setAttribute("aria-label", `sample ${n}${label && `, ${label}`}`);
      }
      content?.replaceChildren(...whole([`#${n}`, label, predicted]));
      const text = picture && !isText ? "" : textOf(model, feeds, rows, n);
      if (sample instanceof HTMLElement) sample.textContent = text;
      if (sample instanceof HTMLElement) sample.hidden = text === "";
      const [norm, loss] = [study.norms, study.losses].map((values) => number(values[n] ?? Number.NaN));
      numbers?.replaceChildren(...whole([`norm ${norm}`, `loss ${loss}`, more(n)]));
      button?.setAttribute("aria-label", `What taught this? Sample ${n}`);
      button?.addEventListener("click", () => void this.#explain(n));
      return card;
    });
    element(id, HTMLOListElement).replaceChildren(...cards);
  }

  async #explain(query: number): Promise<void> {
    const shown = this.#shown;
    if (!shown) return;
    const { model, feeds, loss, names, study } = shown;
    if (study.samples < study.total) {
      this.report.status("All samples must be measured before they can be compared.");
      return;
    }
    this.#explaining?.cancel();
    const work = new Work();
    this.#explaining = work;
    this.report.status(`Comparing the gradients of all samples with that of sample ${query} …`);
    try {
      const scores = await taught(model, feeds, loss, query, work);
      if (work.signal.aborted) return;
      const others = [...scores.keys()].filter((n) => n !== query).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0));
      const score = (n: number) => `score ${number(scores[n] ?? Number.NaN)}`;
      element("query", HTMLElement).textContent =
        `Sample ${query}${study.classes ? ` of class ${names.of(study.classes[query])}` : ""}: a small step along another sample's gradient lowers this one's loss in proportion to the inner product of the two gradients, the score.`;
      this.#fill("helpful", others.slice(0, 8), score);
      this.#fill("harmful", others.slice(-8).reverse(), score);
      this.#attribution.hidden = false;
      element("attribution-title", HTMLElement).focus();
      this.report.status("");
    } catch (error) {
      if (this.#explaining !== work) return;
      this.report.status(work.signal.aborted ? "Cancelled." : "");
      if (!work.signal.aborted) this.report.problem(error);
    } finally {
      work.end();
    }
  }

  /** A program whose weights are too large for one file is not offered for download. */
  #save(): void {
    if (!this.#program) return;
    try {
      download("program.pergrad.onnx", new Uint8Array(this.#program.encode()), "application/octet-stream");
    } catch (error) {
      this.report.problem(error);
    }
  }

  #export(): void {
    if (!this.#shown) return;
    const { norms, losses, classes, predicted, byParameter } = this.#shown.study;
    const columns = [
      { name: "sample", values: Int32Array.from(norms.keys()) },
      ...(classes ? [{ name: "class", values: classes }] : []),
      ...(predicted ? [{ name: "predicted", values: predicted }] : []),
      { name: "loss", values: losses },
      { name: "norm", values: norms },
      ...[...byParameter].map(([name, values]) => ({ name: `norm of ${name}`, values })),
    ];
    download("samples.csv", csvOf(columns), "text/csv");
  }
}

const mean = (values: ArrayLike<number>) => Array.from(values).reduce((sum, each) => sum + each, 0) / values.length;

/** Also of more numbers than a function takes arguments. */
const maximum = (values: readonly number[] | Float32Array) =>
  Array.from(values).reduce((largest, each) => Math.max(largest, each), 0);

/** Parts of a line, within which the line is not broken. */
function whole(parts: readonly string[]): HTMLElement[] {
  return parts
    .filter((part) => part !== "")
    .map((part) => {
      const made = document.createElement("span");
      made.textContent = `${part} `;
      return made;
    });
}

function noteOf(text: string): HTMLElement {
  const made = document.createElement("p");
  made.className = "hint";
  made.textContent = text;
  return made;
}

/** The choices for each parameter; of the questions, only those that were asked. */
function planTable(rows: readonly ExplainedParameter[]): HTMLElement {
  const asked = questionNames.filter((name) => rows.some((row) => row[name] !== null));
  const cells = rows.map((row) => [
    row.parameter,
    row.shape,
    row.kind,
    ...asked.map((name) => row[name] ?? ""),
    row.operations.toLocaleString("en-US"),
  ]);
  const headings = ["parameter", "shape", "kind", ...asked.map((name) => questions[name].heading)];
  return table([...headings, "multiply-adds per sample"], cells);
}

function classTable({ study, names: named }: Shown, names: readonly number[]): HTMLElement {
  const { classes, norms, losses, predicted } = study;
  if (!classes) {
    const none = document.createElement("p");
    none.textContent = "The target holds no classes.";
    return none;
  }
  const rows = names.map((name) => {
    const own = [...classes.keys()].filter((n) => classes[n] === name);
    const of = (values: Float32Array) => own.map((n) => values[n] ?? Number.NaN);
    const right = predicted
      ? `${((100 * own.filter((n) => predicted[n] === name).length) / own.length).toFixed(1)} %`
      : "";
    return [
      named.of(name),
      `${own.length}`,
      number(mean(of(losses))),
      number(mean(of(norms))),
      number(maximum(of(norms))),
      right,
    ];
  });
  return table(["class", "samples", "mean loss", "mean norm", "largest norm", "recognised"], rows);
}

function parameterTable({ model, study }: Shown): HTMLElement {
  const squares = (values: Float32Array) => values.reduce((sum, each) => sum + each ** 2, 0);
  const all = squares(study.norms);
  const rows = [...study.byParameter].map(([name, values]) => [
    name,
    `[${model.parameters[name]?.dims.join(", ") ?? ""}]`,
    number(mean(values)),
    number(maximum(values)),
    `${((100 * squares(values)) / all).toFixed(1)} %`,
  ]);
  return table(["parameter", "shape", "mean norm", "largest norm", "part of the squared norm"], rows);
}
