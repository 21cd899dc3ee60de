import cliProgress from "cli-progress";
import type { Io } from "./io.js";

const patience = 1000;

const counted = "{stage} [{bar}] {value}/{total} {eta_formatted}";

/** A bar on stderr for work that takes longer than a second, on a terminal only. */
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

  /** The number of finished steps of the stage. */
  get done(): number {
    return this.#state.done;
  }

  /** A remark that does not stop anything. */
  note(message: string): void {
    this.line(`pergrad: note: ${message}`);
  }

  /** A remark on a result that is not as it should be. */
  warn(message: string): void {
    this.line(`pergrad: warning: ${message}`);
  }

  /** A line on what has been done so far. */
  line(text: string): void {
    this.#hide();
    this.#stream.write(`${text}\n`);
  }

  /** Removes the bar: before anything else is written, and at the end. */
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
    // Timers do not run while a program runs, so look at the clock too.
    if (!this.#bar && Date.now() - this.#start >= this.#after) this.#show();
  }

  #show(): void {
    if (this.#bar || this.#stopped || !this.#stream.isTTY) return;
    const { stage, done, total } = this.#state;
    this.#bar = new cliProgress.SingleBar({
      // A stage of one step has nothing to count, and no foreseeable end.
      format: (options, params, payload) =>
        params.total <= 1
          ? `${payload.stage} ...`
          : cliProgress.Format.Formatter({ ...options, format: counted }, params, payload),
      stream: this.#stream,
      clearOnComplete: true,
      barsize: 30,
      // Leaves nothing to restore in the terminal, so that signals need no special care here.
      linewrap: null,
      etaBuffer: 200,
      gracefulExit: false,
    });
    this.#bar.start(total, done, { stage });
  }
}
