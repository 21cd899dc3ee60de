/** The inspector: it takes files and shows what each sample does to the model. Nothing leaves the page. */
import { showShape } from "../src/graph/dim.js";
import { loadModel, type Model, nn, perSample, type Workers, want, workers } from "../src/index.js";
import { type LossName, namedLosses } from "../src/nn/as-loss.js";
import type { Tensor } from "../src/tensor/tensor.js";
import { ClassNames } from "./classes.js";
import { choice, count, element, table } from "./dom.js";
import { asInput, asTarget, type Choices, suggested } from "./matching.js";
import { messageInPage } from "./messages.js";
import { type Dropped, imagesAs, readDropped } from "./reading.js";
import { Results } from "./results.js";
import { type Feeds, type Study, samplesOf, study } from "./study.js";
import { Work } from "./work.js";

const drop = element("drop", HTMLElement);
const files = element("files", HTMLInputElement);
const status = element("status", HTMLElement);
const problem = element("problem", HTMLElement);
const modelShown = element("model", HTMLElement);
const form = element("choices", HTMLFormElement);

const report = {
  status(text: string): void {
    status.textContent = text;
  },
  problem(error: unknown): void {
    problem.textContent = messageInPage(error);
  },
};
const results = new Results(report);

/** What has been dropped so far. */
class Bench {
  #model: Model | undefined;
  #tensors: ReadonlyMap<string, Tensor> = new Map();
  #rows: readonly string[] | undefined;
  #isText = false;
  #names = new ClassNames();
  #pending: Dropped[] = [];
  #running: Work | undefined;
  /** Started before it is needed; each study has a worker of its own, and all of its memory is freed with the worker. */
  #worker = started();

  async take(given: readonly File[]): Promise<void> {
    this.cancel();
    problem.textContent = "";
    results.hide();
    report.status("Reading …");
    try {
      const dropped = await readDropped(given);
      if (dropped.model && hasData(dropped)) this.#forget();
      this.#pending.push(dropped);
      await this.#readModel();
      await this.#readData();
      report.status([unreadIn(dropped), this.#missing()].filter((each) => each !== "").join(" "));
      this.#ask();
    } catch (error) {
      report.status("");
      report.problem(error);
    }
  }

  /** If a model and its data are dropped together, they replace everything that was dropped before. */
  #forget(): void {
    this.#pending = [];
    this.#tensors = new Map();
    [this.#rows, this.#isText] = [undefined, false];
    this.#names = new ClassNames();
  }

  async #readModel(): Promise<void> {
    const file = this.#pending.map(({ model }) => model).findLast((each) => each !== undefined);
    if (!file) return;
    const externalData = Object.assign({}, ...this.#pending.map(({ others }) => others));
    this.#model = await loadModel(file, { externalData, workers: this.#worker });
    modelShown.replaceChildren(...summaryOf(file.name, this.#model));
    this.#pending = this.#pending.map(({ model: _, ...others }) => others);
  }

  async #readData(): Promise<void> {
    const named = this.#pending.findLast(({ classes }) => classes !== undefined);
    if (named) this.#names = new ClassNames(named.classes);
    const read = this.#pending.findLast(({ rows }) => rows !== undefined);
    if (read) [this.#rows, this.#isText] = [read.rows, read.isText];
    const latest = this.#pending.findLast(hasData);
    if (!latest) return;
    const { tensors, images, rows, isText } = latest;
    if (images.length === 0) this.#tensors = tensors;
    else if (this.#model) this.#tensors = await imagesAs(images, imageForm(this.#model));
    if (latest !== read && this.#rows?.length !== samplesIn(this.#tensors)) [this.#rows, this.#isText] = [rows, isText];
  }

  #missing(): string {
    if (!this.#model) return "Now drop the model, an .onnx file.";
    return this.#tensors.size === 0 ? "Now drop the data." : "";
  }

  #ask(): void {
    const model = this.#model;
    form.hidden = !model || this.#tensors.size === 0;
    if (!model || form.hidden) return;
    const { inputs, target, loss } = suggested(model, this.#tensors);
    const options = [...this.#tensors].map(
      ([name, { dtype, dims }]) => [name, `${name}: ${dtype} [${dims.join(", ")}]`] as const,
    );
    const submit = document.createElement("button");
    submit.type = "submit";
    submit.textContent = "Measure";
    form.replaceChildren(
      ...model.graph.inputs.map(({ name }) => choice(`Input ${name}`, `input ${name}`, options, inputs[name] ?? "")),
      choice("Target", "target", [["", "none"], ...options], target ?? ""),
      choice(
        "Loss",
        "loss",
        [...namedLosses, "output"].map((name) => [name, name] as const),
        loss,
      ),
      submit,
    );
    // The usual choice needs no explanation.
    if (Object.keys(inputs).length === model.graph.inputs.length) void this.measure();
    else report.status("The data has fewer tensors than the model has inputs and a target; choose what each one is.");
  }

  #choices(model: Model): Choices {
    const given = new FormData(form);
    const text = (name: string) => String(given.get(name) ?? "");
    const inputs = model.graph.inputs.map(({ name }) => [name, text(`input ${name}`)] as const);
    return { inputs: Object.fromEntries(inputs), target: text("target") || null, loss: text("loss") };
  }

  #feeds(model: Model, { inputs, target, loss }: Choices): Feeds {
    const feeds: Record<string, Tensor> = {};
    for (const input of model.graph.inputs) {
      const tensor = this.#tensors.get(inputs[input.name] ?? "");
      if (tensor) feeds[input.name] = asInput(tensor, input, model.sampleAxes[input.name] ?? null);
    }
    const targets = target === null ? undefined : this.#tensors.get(target);
    return targets ? { ...feeds, target: asTarget(targets, loss, model) } : feeds;
  }

  async measure(): Promise<void> {
    const model = this.#model;
    if (!model) return;
    this.cancel();
    const running = new Work();
    this.#running = running;
    problem.textContent = "";
    results.hide();
    try {
      const choices = this.#choices(model);
      const feeds = this.#feeds(model, choices);
      const loss = choices.loss as LossName;
      const count = samplesOf(model, feeds);
      if (count === 0) throw new Error("The data holds no samples; drop data that holds some.");
      report.status(`Compiling; then measuring ${count} samples …`);
      const rows = this.#rows?.length === count ? this.#rows : undefined;
      const subject = { model, feeds, loss, rows, isText: rows !== undefined && this.#isText, names: this.#names };
      const onPart = (found: Study) => {
        if (this.#running !== running) return;
        running.reached(found.samples / found.total);
        report.status(`Measured ${found.samples} of ${found.total} samples.`);
        results.part(subject, found);
      };
      const worker = this.#worker;
      const found = await study(model, feeds, loss, { signal: running.signal, onPart, worker }).finally(() => {
        if (typeof worker === "object") void worker.release();
        if (this.#worker === worker) this.#worker = started();
      });
      if (this.#running !== running) return;
      report.status("");
      results.finish(subject, found.study, found.program);
    } catch (error) {
      if (this.#running !== running) return;
      report.status(running.signal.aborted ? "Cancelled." : "");
      if (!running.signal.aborted) report.problem(error);
    } finally {
      running.end();
    }
  }

  cancel(): void {
    this.#running?.cancel();
  }
}

/** If no worker can be started, the page itself does the work. */
function started(): Workers | true {
  try {
    const worker = workers();
    // An error here occurs again later, where it is reported.
    warmed(worker).then(keepFiles, () => undefined);
    return worker;
  } catch {
    return true;
  }
}

/** Compiles a first program with one weight, so that the worker loads the runtime before files are dropped. */
async function warmed(worker: Workers): Promise<void> {
  const model = nn.model(nn.linear(1, 1), { seed: 1 });
  const program = await perSample(model, { loss: "mse", want: { norms: want.norms() }, workers: worker });
  await program.release();
}

/** What is said of files that are neither a model nor data; empty if there are none. */
function unreadIn(dropped: Dropped): string {
  const odd = Object.keys(dropped.others).filter((name) => !/(data|bin|weights?)$/i.test(name));
  const names = odd.map((name) => `"${name}"`);
  if (names.length === 0 || hasData(dropped)) return "";
  const all = names.length > 3 ? `${names.slice(0, 3).join(", ")} and others` : names.join(" and ");
  return `${all} can only hold weights of a model; data is .safetensors, .npz, .npy, .csv, .tsv or images.`;
}

/** From then on the page works without a network. Where there are no service workers, it needs its server. */
function keepFiles(): void {
  if ("serviceWorker" in navigator) navigator.serviceWorker.register("offline.js").catch(() => undefined);
}

const hasData = ({ tensors, images }: Dropped) => tensors.size > 0 || images.length > 0;

/** The common length of all tensors along axis 0. */
function samplesIn(tensors: ReadonlyMap<string, Tensor>): number | undefined {
  const [first] = tensors.values();
  return first?.dims[0];
}

/** Channels, height and width of the model's first image input. */
function imageForm({ graph }: Model): [number, number, number] {
  for (const { shape } of graph.inputs) {
    const [, channels, height, width] = shape;
    if (shape.length !== 4 || typeof height !== "number" || typeof width !== "number") continue;
    if (channels === 1 || channels === 3) return [channels, height, width];
  }
  throw new Error("The model takes no images: none of its inputs is [N, 1 or 3, height, width].");
}

function summaryOf(name: string, { graph, parameters, notes }: Model): HTMLElement[] {
  const elements = Object.values(parameters).reduce((sum, { data }) => sum + data.length, 0);
  const values = (
    kind: string,
    all: readonly { readonly name: string; readonly dtype: string; readonly shape: Parameters<typeof showShape>[0] }[],
  ) => all.map((each) => [kind, each.name, each.dtype, showShape(each.shape)]);
  const outputs = graph.outputs.map((each) => ({ name: each.name, dtype: each.value.dtype, shape: each.value.shape }));
  const said = document.createElement("p");
  said.textContent = `${name}: ${Object.keys(parameters).length} parameters with ${count(elements)} elements.`;
  const shapes = document.createElement("div");
  shapes.className = "wide";
  shapes.append(
    table(["tensor", "name", "dtype", "shape"], [...values("input", graph.inputs), ...values("output", outputs)]),
  );
  const told = notes.map((note) => {
    const line = document.createElement("p");
    line.className = "hint";
    line.textContent = note;
    return line;
  });
  return [said, shapes, ...told];
}

const bench = new Bench();
files.addEventListener("change", () => {
  void bench.take([...(files.files ?? [])]);
  files.value = "";
});
for (const type of ["dragover", "dragleave", "drop"])
  addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", type === "dragover");
    if (event instanceof DragEvent && type === "drop") void bench.take([...(event.dataTransfer?.files ?? [])]);
  });
form.addEventListener("submit", (event) => {
  event.preventDefault();
  void bench.measure();
});
