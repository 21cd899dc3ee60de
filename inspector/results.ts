/** Shows what was measured. */

import type { Model } from "../src/index.js";
import { csvOf } from "../src/io/table.js";
import type { LossName } from "../src/nn/as-loss.js";
import { download, element, number, table } from "./dom.js";
import { histogram } from "./histogram.js";
import { paint, pictureOf, textOf } from "./sample.js";
import { type Feeds, type Study, taught } from "./study.js";

export interface Shown {
  readonly model: Model;
  readonly feeds: Feeds;
  readonly loss: LossName;
  readonly rows: readonly string[] | undefined;
  readonly study: Study;
}

const most = 24;

export class Results {
  readonly #section = element("results", HTMLElement);
  readonly #by = element("by", HTMLSelectElement);
  readonly #order = element("order", HTMLSelectElement);
  readonly #class = element("class", HTMLSelectElement);
  readonly #attribution = element("attribution", HTMLElement);
  #shown: Shown | undefined;

  /** @param report says what is going on, or what went wrong */
  constructor(private readonly report: { status(text: string): void; problem(error: unknown): void }) {
    for (const select of [this.#by, this.#order, this.#class]) select.addEventListener("change", () => this.#list());
    element("csv", HTMLButtonElement).addEventListener("click", () => this.#export());
    element("program", HTMLButtonElement).addEventListener("click", () => {
      const program = this.#shown?.study.program;
      if (program) download("program.pergrad.onnx", new Uint8Array(program), "application/octet-stream");
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#chart());
    addEventListener("resize", () => this.#chart());
  }

  hide(): void {
    this.#section.hidden = true;
    this.#attribution.hidden = true;
    this.#shown = undefined;
  }

  show(shown: Shown): void {
    this.#shown = shown;
    const { study } = shown;
    this.#section.hidden = false;
    const wrong =
      study.predicted && study.classes ? study.predicted.filter((each, n) => each !== study.classes?.[n]).length : null;
    const accuracy = wrong === null ? "" : ` The model takes ${wrong} of them for another class.`;
    element("summary", HTMLElement).textContent =
      `${study.samples} samples, measured in ${(study.milliseconds / 1000).toFixed(1)} s; mean loss ${number(mean(study.losses))}, mean gradient norm ${number(mean(study.norms))}.${accuracy}`;
    this.#by.replaceChildren(
      new Option("gradient norm", "norm"),
      new Option("loss", "loss"),
      ...[...study.byParameter.keys()].map((name) => new Option(`norm of ${name}`, `of ${name}`)),
    );
    const classes = [...new Set(study.classes ?? [])].sort((a, b) => a - b);
    element("class-label", HTMLElement).hidden = classes.length === 0;
    this.#class.replaceChildren(new Option("all", ""), ...classes.map((each) => new Option(`${each}`)));
    element("program", HTMLButtonElement).hidden = study.program === null;
    element("plan", HTMLElement).textContent = study.plan;
    element("classes", HTMLElement).replaceChildren(classTable(study, classes));
    element("parameters", HTMLElement).replaceChildren(parameterTable(shown));
    this.#chart();
    this.#list();
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

  #list(): void {
    if (!this.#shown) return;
    const { study } = this.#shown;
    const values = this.#values(this.#shown);
    const chosen = this.#class.value;
    const sign = Number(this.#order.value);
    const samples = [...values.keys()].filter((n) => chosen === "" || study.classes?.[n] === Number(chosen));
    // What is not finite comes first: it is what somebody looks for.
    const rank = (n: number) => (Number.isFinite(values[n]) ? sign * (values[n] ?? 0) : Number.NEGATIVE_INFINITY);
    samples.sort((a, b) => rank(a) - rank(b));
    this.#fill("cards", samples.slice(0, most));
  }

  #fill(id: string, samples: readonly number[], more: (sample: number) => string = () => ""): void {
    const template = element("card", HTMLTemplateElement);
    const { model, feeds, rows, study } = this.#shown ?? {};
    if (!model || !feeds || !study) return;
    const cards = samples.map((n) => {
      const card = document.importNode(template.content, true);
      const [canvas, content, numbers, button] = ["canvas", ".content", ".numbers", "button"].map((selector) =>
        card.querySelector(selector),
      );
      const picture = pictureOf(model, feeds, n);
      const label = study.classes ? `class ${study.classes[n]}` : "";
      const predicted =
        study.predicted && study.predicted[n] !== study.classes?.[n] ? `predicted ${study.predicted[n]}` : "";
      if (picture && canvas instanceof HTMLCanvasElement) {
        paint(canvas, picture);
        canvas.hidden = false;
        canvas.setAttribute("aria-label", `sample ${n}${label && `, ${label}`}`);
      }
      if (content)
        content.textContent = [`#${n}`, label, predicted, picture ? "" : textOf(model, feeds, rows, n)]
          .filter((each) => each !== "")
          .join(" · ");
      if (numbers)
        numbers.textContent = `norm ${number(study.norms[n] ?? Number.NaN)}, loss ${number(study.losses[n] ?? Number.NaN)}${more(n)}`;
      button?.setAttribute("aria-label", `What taught this? Sample ${n}`);
      button?.addEventListener("click", () => void this.#explain(n));
      return card;
    });
    element(id, HTMLOListElement).replaceChildren(...cards);
  }

  async #explain(query: number): Promise<void> {
    const shown = this.#shown;
    if (!shown) return;
    const { model, feeds, loss, study } = shown;
    this.report.status(`Comparing the gradients of all samples with that of sample ${query} …`);
    try {
      const scores = await taught(model, feeds, loss, query);
      if (this.#shown !== shown) return;
      const others = [...scores.keys()].filter((n) => n !== query).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0));
      const score = (n: number) => `, score ${number(scores[n] ?? Number.NaN)}`;
      element("query", HTMLElement).textContent =
        `Sample ${query}${study.classes ? ` of class ${study.classes[query]}` : ""}: a small step along another sample's gradient lowers this one's loss in proportion to the inner product of the two gradients, the score.`;
      this.#fill("helpful", others.slice(0, 8), score);
      this.#fill("harmful", others.slice(-8).reverse(), score);
      this.#attribution.hidden = false;
      element("attribution-title", HTMLElement).focus();
      this.report.status("");
    } catch (error) {
      this.report.status("");
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

function classTable({ classes, norms, losses, predicted }: Study, names: readonly number[]): HTMLElement {
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
      `${name}`,
      `${own.length}`,
      number(mean(of(losses))),
      number(mean(of(norms))),
      number(Math.max(...of(norms))),
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
    number(values.reduce((largest, each) => Math.max(largest, each), 0)),
    `${((100 * squares(values)) / all).toFixed(1)} %`,
  ]);
  return table(["parameter", "shape", "mean norm", "largest norm", "part of the squared norm"], rows);
}
