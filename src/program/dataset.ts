/** Reads the samples of a data set piece by piece. */
import { invalidArgument, isPromise, kindOf } from "../arguments.js";
import { PergradError } from "../errors.js";
import type { Expected } from "../graph/model.js";
import { openTensorFile } from "../io/files.js";
import type { TensorFile } from "../io/tensor-file.js";
import { unlessAborted } from "../target/signals.js";
import type { Data } from "../tensor/data.js";
import { copiesOf, isTensor, plainData } from "../tensor/data.js";
import { isScaled, offsetName, scaleName, withScaling } from "../tensor/scaled.js";
import { pieces, takeSamples } from "../tensor/take-samples.js";
import type { Tensor } from "../tensor/tensor.js";
import { type Prepared, shaped } from "./feeds.js";
import { type Batch, type Dataset, isIterable } from "./given-data.js";
import { samplesBetween } from "./split.js";

/** A data set that is open. */
export interface Source {
  /** The number of samples, if it is known. */
  readonly total?: number;
  /** The samples in order, in pieces of at most `size`. */
  pieces(size: number): AsyncGenerator<Prepared, void, undefined>;
  close(): Promise<void>;
}

export interface SourceOptions {
  readonly expected: ReadonlyMap<string, Expected>;
  readonly prepare: (data: Batch) => Prepared;
  readonly signal?: AbortSignal | undefined;
  /** Whether arrays do not change until they are read. If not, they are copied when reading them takes several turns. */
  readonly inPlace?: boolean;
}

/** Throws what `prepare` throws, and FILE_UNREADABLE. */
export async function openDataset(dataset: Dataset, options: SourceOptions): Promise<Source> {
  const given: unknown = dataset;
  if (isPromise(given) || (typeof given !== "string" && (typeof given !== "object" || given === null)))
    throw invalidArgument(
      `A dataset must be all samples by the inputs' names, an iterable of batches, or the path of a file, not ${kindOf(given)}.`,
    );
  if (typeof dataset === "string") return FileSource.open(dataset, options);
  if (isIterable(dataset)) return new Batches(dataset, options);
  return Object.values(dataset).some(isScaled)
    ? WholeScaled.of(dataset, options)
    : new Whole(options.prepare(dataset), options);
}

/** The samples in order, in pieces of at most `size`. Closes the data set at the end. Throws what `openDataset` throws. */
export async function* piecesOf(
  dataset: Dataset,
  size: number,
  options: SourceOptions,
): AsyncGenerator<Prepared, void, undefined> {
  const source = await openDataset(dataset, options);
  try {
    yield* source.pieces(size);
  } finally {
    await source.close();
  }
}

/** All samples at once, with bytes that have a scale: they become numbers piece by piece. */
class WholeScaled implements Source {
  private constructor(
    private readonly batch: Batch,
    readonly total: number,
    private readonly options: SourceOptions,
  ) {}

  /** Does not check the data: that is done when a piece is prepared. */
  static of(batch: Batch, options: SourceOptions): Source {
    const found = Object.entries(batch).flatMap(([name, data]) => {
      const axis = options.expected.get(name)?.sampleAxis ?? null;
      return isScaled(data) && axis !== null ? [data.dims[axis] ?? 0] : [];
    });
    const [total] = found;
    return total === undefined ? new Whole(options.prepare(batch), options) : new WholeScaled(batch, total, options);
  }

  async *pieces(size: number): AsyncGenerator<Prepared, void, undefined> {
    for (const [from, to] of pieces(this.total, size)) {
      const own = Object.entries(this.batch).map(([name, data]) => [name, this.#part(name, data, from, to)] as const);
      yield counted(from, () => this.options.prepare(Object.fromEntries(own)));
    }
  }

  async close(): Promise<void> {}

  /** An input with another number of samples stays whole, so that the piece is refused. */
  #part(name: string, given: Data, from: number, to: number): Data {
    const expected = this.options.expected.get(name);
    const axis = expected?.sampleAxis ?? null;
    if (!expected || axis === null) return given;
    const data = plainData(`The input "${name}"`, given);
    const own = isTensor(data) ? data : shaped(name, data, expected);
    return own.dims[axis] === this.total ? takeSamples(own, axis, from, to) : own;
  }
}

class Whole implements Source {
  readonly total: number;

  constructor(
    private readonly prepared: Prepared,
    private readonly options: SourceOptions,
  ) {
    this.total = prepared.samples;
  }

  async *pieces(size: number): AsyncGenerator<Prepared, void, undefined> {
    for (const [from, to] of pieces(this.total, size)) {
      yield samplesBetween(this.prepared, this.options.expected, from, to);
    }
  }

  async close(): Promise<void> {}
}

class Batches implements Source {
  readonly #iterator: Iterator<Batch> | AsyncIterator<Batch>;
  #ended = false;

  constructor(
    batches: Iterable<Batch> | AsyncIterable<Batch>,
    private readonly options: SourceOptions,
  ) {
    this.#iterator = Symbol.asyncIterator in batches ? batches[Symbol.asyncIterator]() : batches[Symbol.iterator]();
  }

  async *pieces(size: number): AsyncGenerator<Prepared, void, undefined> {
    const { prepare, expected, signal, inPlace = false } = this.options;
    for (let start = 0; ; ) {
      const next = await unlessAborted(this.#next(), signal);
      if (next.done) return;
      const given = counted(start, () => prepare(next.value));
      const prepared = given.samples > size && !inPlace ? { ...given, feeds: copiesOf(given.feeds) } : given;
      for (const [from, to] of pieces(prepared.samples, size)) yield samplesBetween(prepared, expected, from, to);
      start += prepared.samples;
    }
  }

  async close(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    const returned = this.#iterator.return?.();
    // A source that waits for data answers only when it has some, which after an abort may be never.
    if (this.options.signal?.aborted) Promise.resolve(returned).catch(() => undefined);
    else await returned;
  }

  async #next(): Promise<IteratorResult<Batch>> {
    try {
      const next = await this.#iterator.next();
      if (next.done) this.#ended = true;
      return next;
    } catch (error) {
      this.#ended = true;
      throw error;
    }
  }
}

/** A file, whose samples are read when they are needed. */
export class FileSource implements Source {
  /** Inputs that all samples share, and the scales of bytes, which are read once. */
  readonly #held = new Map<string, Tensor>();

  private constructor(
    private readonly file: TensorFile,
    readonly total: number,
    private readonly options: SourceOptions,
  ) {}

  /** Throws FILE_UNREADABLE, BATCH_MISMATCH. */
  static async open(path: string, options: SourceOptions): Promise<FileSource> {
    const file = await openTensorFile(path);
    try {
      return new FileSource(file, countSamples(path, file, options.expected), options);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async *pieces(size: number): AsyncGenerator<Prepared, void, undefined> {
    for (const [from, to] of pieces(this.total, size)) {
      const batch = await this.#batch((name, axis) => this.file.read(name, { axis, from, to }));
      yield counted(from, () => this.options.prepare(batch));
    }
  }

  /** The samples with these numbers, in this order. Throws FILE_UNREADABLE, also if the file has changed since it was opened. */
  async at(places: Uint32Array): Promise<Batch> {
    const batch = await this.#batch((name, axis) => this.file.rows(name, axis, places));
    await this.requireUnchanged();
    return batch;
  }

  /** Throws FILE_UNREADABLE if the file has changed since it was opened. */
  requireUnchanged(): Promise<void> {
    return this.file.requireUnchanged();
  }

  close(): Promise<void> {
    return this.file.close();
  }

  /** A tensor that all samples share; undefined if the file does not have it. */
  async #whole(name: string): Promise<Tensor | undefined> {
    if (!this.file.layout.has(name)) return undefined;
    const tensor = this.#held.get(name) ?? (await this.file.read(name));
    this.#held.set(name, tensor);
    return tensor;
  }

  async #batch(read: (name: string, axis: number) => Promise<Tensor>): Promise<Batch> {
    const batch: Record<string, Data> = {};
    for (const [name, { sampleAxis: axis }] of this.options.expected) {
      const layout = this.file.layout.get(name);
      if (!layout) continue;
      // A tensor without the axis has the wrong shape, which is an error when the batch is prepared.
      const own = axis === null || axis >= layout.dims.length ? await this.#whole(name) : await read(name, axis);
      if (!own) continue;
      batch[name] =
        layout.dtype === "uint8"
          ? withScaling(own, await this.#whole(scaleName(name)), await this.#whole(offsetName(name)))
          : own;
    }
    return batch;
  }
}

/** Throws BATCH_MISMATCH. */
function countSamples(path: string, file: TensorFile, expected: ReadonlyMap<string, Expected>): number {
  let first: { readonly name: string; readonly samples: number } | undefined;
  for (const [name, { sampleAxis }] of expected) {
    const samples = sampleAxis === null ? undefined : file.layout.get(name)?.dims[sampleAxis];
    if (samples === undefined) continue;
    first ??= { name, samples };
    if (first.samples === samples) continue;
    throw new PergradError(
      "BATCH_MISMATCH",
      `In "${path}" the tensor "${name}" holds ${samples} samples, but "${first.name}" holds ${first.samples}; give the same number of each.`,
    );
  }
  return first?.samples ?? 0;
}

/** Errors count the samples of a piece from 0: this adds where the piece starts. */
function counted<T>(start: number, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof PergradError) || start === 0) throw error;
    const message = `In the batch that starts at sample ${start}, counted from there: ${error.message}`;
    throw new PergradError(error.code, message, { cause: error });
  }
}
