/** The folder of a private run: its last checkpoint, and the ledger of all that it has spent. */
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { PergradError } from "../errors.js";
import { unreadable, unwritable } from "../io/failure.js";
import { RunLock } from "../io/run-lock.js";
import { Ledger } from "../privacy/ledger.js";
import { composed, type GaussianMechanism, isNotPrivate } from "../privacy/mechanism.js";
import { composedInOrder, stepsOf } from "./state.js";
import { readState, writeState } from "./state-file.js";
import type { TrainerState } from "./types.js";

/** Settings that must be the same when a run is resumed. */
export type Settings = Readonly<Record<string, number | string | boolean | null>>;

/** The contents of a checkpoint file. */
interface Checkpoint<S> {
  readonly format: "pergrad checkpoint 1";
  /** For readers of the file. */
  readonly notice?: string;
  readonly settings: Settings;
  readonly state: TrainerState<S>;
}

const format = "pergrad checkpoint 1";
const checkpointFile = "checkpoint.safetensors";
const ledgerFile = "ledger";
const lockFile = "lock";

export class RunFolder<S> {
  private constructor(
    readonly path: string,
    private readonly settings: Settings,
    private readonly ledger: Ledger<GaussianMechanism>,
    private readonly lock: RunLock,
  ) {}

  /**
   * Begins a run from its first state. The folder is created if it does not exist.
   * @throws PergradError FILE_UNWRITABLE, also if it holds a run, or another process uses it.
   */
  static async begin<S>(path: string, settings: Settings, first: TrainerState<S>): Promise<RunFolder<S>> {
    await mkdir(path, { recursive: true }).catch((error: unknown) => {
      throw unwritable(path, error);
    });
    return locked(path, async (lock) => {
      await requireEmpty(path);
      // In this order, so that wherever there is a ledger there is a state to resume from.
      await writeCheckpoint(path, settings, first);
      return new RunFolder<S>(path, settings, await Ledger.create(join(path, ledgerFile)), lock);
    });
  }

  /** Whether there is a run to resume. */
  static holdsRun(path: string): Promise<boolean> {
    return exists(join(path, checkpointFile));
  }

  /**
   * Resumes a run from its last checkpoint. Anything spent after that is in the state's ledger too.
   * @throws PergradError FILE_UNREADABLE, INVALID_ARGUMENT (settings differ from those it was begun with),
   *   FILE_UNWRITABLE (another process uses it).
   */
  static async resume<S>(
    path: string,
    settings: Settings,
  ): Promise<{ readonly folder: RunFolder<S>; readonly state: TrainerState<S> }> {
    await stat(join(path, checkpointFile)).catch((error: unknown) => {
      throw unreadable(join(path, checkpointFile), error);
    });
    return locked(path, async (lock) => {
      const checkpoint = await readCheckpoint<S>(path);
      requireSame(path, checkpoint.settings, settings);
      const { ledger, entries } = await openLedger(join(path, ledgerFile), checkpoint.state);
      const folder = new RunFolder<S>(path, settings, ledger, lock);
      try {
        return { folder, state: withSpent(path, checkpoint.state, entries) };
      } catch (error) {
        await folder.close();
        throw error;
      }
    });
  }

  /** Records a cost. Once the promise is fulfilled, the result it pays for may be released. Throws FILE_UNWRITABLE. */
  record(spent: GaussianMechanism): Promise<void> {
    return this.ledger.append(spent);
  }

  /** Replaces the last checkpoint, completely or not at all. Throws FILE_UNWRITABLE. */
  save(state: TrainerState<S>): Promise<void> {
    return writeCheckpoint(this.path, this.settings, state);
  }

  async close(): Promise<void> {
    try {
      await this.ledger.close();
    } finally {
      await this.lock.release();
    }
  }
}

/** Calls `open` with the folder's lock, which is released again if that fails. */
async function locked<R>(path: string, open: (lock: RunLock) => Promise<R>): Promise<R> {
  const lock = await RunLock.take(join(path, lockFile));
  try {
    return await open(lock);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function requireEmpty(path: string): Promise<void> {
  for (const file of [checkpointFile, ledgerFile]) {
    if (!(await exists(join(path, file)))) continue;
    const advice = "resume it, or choose another folder; what it has spent must not be forgotten";
    throw new PergradError("FILE_UNWRITABLE", `Cannot begin a run in "${path}", which holds one already: ${advice}.`);
  }
}

/** The state of a checkpoint, with everything spent according to the ledger's file. */
function withSpent<S>(path: string, state: TrainerState<S>, entries: readonly GaussianMechanism[]): TrainerState<S> {
  const spent = composedInOrder(entries);
  if (stepsOf(spent) >= stepsOf(state.ledger)) return { ...state, ledger: spent, recorded: entries.length };
  // Ordinary steps are in no file, and need not be: the state already says that no epsilon is large enough.
  if (isNotPrivate(composed(state.ledger))) return state;
  throw ledgerLost(path, `it holds ${stepsOf(spent)} steps, but the checkpoint had spent ${stepsOf(state.ledger)}`);
}

function writeCheckpoint<S>(path: string, settings: Settings, state: TrainerState<S>): Promise<void> {
  const notice = state.seed === null ? {} : { notice: `NOT PRIVATE: made from the seed ${state.seed}` };
  return writeState(join(path, checkpointFile), { format, ...notice, settings, state } satisfies Checkpoint<S>);
}

async function readCheckpoint<S>(path: string): Promise<Checkpoint<S>> {
  const file = join(path, checkpointFile);
  const found = (await readState(file)) as Partial<Checkpoint<S>>;
  if (found.format === format) return found as Checkpoint<S>;
  throw new PergradError(
    "FILE_UNREADABLE",
    `Cannot read "${file}": it is not a checkpoint that this version of pergrad can read.`,
  );
}

/** A run that was killed between its first checkpoint and its ledger has spent nothing. */
async function openLedger<S>(path: string, { steps, ledger }: TrainerState<S>) {
  if (await exists(path)) return Ledger.open<GaussianMechanism>(path);
  if (steps > 0 || ledger.length > 0) throw ledgerLost(path, "it does not exist");
  return { ledger: await Ledger.create<GaussianMechanism>(path), entries: [] };
}

function ledgerLost(path: string, problem: string): PergradError {
  const advice = "what the run has spent is not known; restore the file, or begin a new run";
  return new PergradError("FILE_UNREADABLE", `Cannot read the ledger of "${path}": ${problem}, so ${advice}.`);
}

function requireSame(path: string, before: Settings, now: Settings): void {
  for (const name of new Set([...Object.keys(before), ...Object.keys(now)])) {
    if (before[name] === now[name]) continue;
    const values = `${before[name] ?? "not given"}, not ${now[name] ?? "left out"}`;
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The run in "${path}" was begun with the ${name} ${values}; resume it with the same options.`,
    );
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
