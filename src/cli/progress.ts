import cliProgress from "cli-progress";
import type { Io } from "./io.js";

const patience = 1000;

const counted = "{stage} [{bar}] {value}/{total} {eta_formatted}";

/** A bar on stderr for what takes longer than a second, and only on a terminal. */
export class Progress {
  readonly #stream: Io["stderr"];
  readonly #start = Date.now();
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #after: number;
  #bar: cliProgress.SingleBar | undefined;
  #state = { stage: "reading", done: 0, total: 1 };
  #stopped = false;

  /** @param after milliseconds until the bar appears */
  constructor({ stderr }: Io, after = patience) {
    this.#stream = stderr;
    this.#after = after;
    if (stderr.isTTY) this.#timer = setTimeout(() => this.#show(), after).unref();
  }

  /** Begins a stage, of `total` steps. */
  stage(stage: string, total = 1): void {
    this.#set({ stage, done: 0, total });
  }

  update(done: number): void {
    this.#set({ ...this.#state, done });
  }

  /** Steps of the stage that are done. */
  get done(): number {
    return this.#state.done;
  }

  /** A remark that stops nothing. */
  note(message: string): void {
    this.line(`pergrad: note: ${message}`);
  }

  /** A remark on a result that is not what it should be. */
  warn(message: string): void {
    this.line(`pergrad: warning: ${message}`);
  }

  /** A line that says what has come so far. */
  line(text: string): void {
    this.#hide();
    this.#stream.write(`${text}\n`);
  }

  /** Takes the bar away: before anything else is written, and at the end. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#hide();
  }

  #hide(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  #set(state: { readonly stage: string; readonly done: number; readonly total: number }): void {
    this.#state = state;
    const { stage, done, total } = state;
    this.#bar?.setTotal(total);
    this.#bar?.update(done, { stage });
    // While a program runs, timers do not: look at the clock too.
    if (!this.#bar && Date.now() - this.#start >= this.#after) this.#show();
  }

  #show(): void {
    if (this.#bar || this.#stopped || !this.#stream.isTTY) return;
    const { stage, done, total } = this.#state;
    this.#bar = new cliProgress.SingleBar({
      // A stage of one step has nothing to count, and no end that could be foreseen.
      format: (options, params, payload) =>
        params.total <= 1
          ? `${payload.stage} ...`
          : cliProgress.Format.Formatter({ ...options, format: counted }, params, payload),
      stream: this.#stream,
      clearOnComplete: true,
      barsize: 30,
      // Nothing to restore in the terminal, so that signals need no care here.
      linewrap: null,
      etaBuffer: 200,
      gracefulExit: false,
    });
    this.#bar.start(total, done, { stage });
  }
}
