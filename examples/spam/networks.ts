/** The networks that learn to tell spam from ham: from words [N, T] to two scores [N, 2]. */
import { type Model, nn, type Traced } from "../../src/index.js";
import { length } from "./data.js";
import { special } from "./tokens.js";

export interface NetworkOptions {
  /** Words in the vocabulary. */
  readonly words: number;
  readonly seed: number;
  /** Dropout during training; 0 for use. The parameters have the same names either way. */
  readonly dropout: number;
}

export interface Network {
  readonly name: string;
  readonly epochs: number;
  readonly learningRate: number;
  make(options: NetworkOptions): Model;
}

/** The mean over the words that are present: [N, T, C] to [N, C]. */
function meanWhere(mask: Traced, x: Traced): Traced {
  const there = mask.cast(x.dtype);
  return x
    .mul(there.unsqueeze(2))
    .sum(1)
    .div(there.sum(1, { keepDims: true }).maximum(1));
}

/** The parts that all networks share: words in, padding masked, dropout. */
function network(body: nn.Module, options: NetworkOptions): Model {
  return nn.model(body, { input: { x: { shape: ["N", length], dtype: "int64" } }, seed: options.seed });
}

const width = 48;

function encoder(dropout: number): nn.Module {
  return nn.transformerEncoderLayer(width, 4, { feedForward: 96, activation: "gelu", normFirst: true, dropout });
}

function parts({ words, dropout }: NetworkOptions) {
  return {
    words: nn.embedding(words, width, { paddingIndex: special.padding, deviation: 0.3 }),
    places: nn.positional(length, width, { deviation: 0.1 }),
    encoder: encoder(dropout),
    norm: nn.layerNorm(width),
  };
}

/** One encoder layer, the mean over the words, and a linear layer. */
const transformer: Network = {
  name: "transformer",
  epochs: 4,
  learningRate: 3e-3,
  make: (options) => {
    const body = nn.module(
      (x, part) => {
        const mask = x.notEqual(special.padding);
        return part.head(meanWhere(mask, part.norm(part.encoder(part.places(part.words(x)), { mask }))));
      },
      { ...parts(options), head: nn.linear(width, 2) },
    );
    return network(body, options);
  },
};

/** The same, but its answer is a word, "<ham>" or "<spam>", by the table from which it reads words. */
const tiedTransformer: Network = {
  name: "transformer, tied",
  epochs: 4,
  learningRate: 3e-3,
  make: (options) => {
    const own = parts(options);
    const body = nn.module(
      (x, part) => {
        const mask = x.notEqual(special.padding);
        const mean = meanWhere(mask, part.norm(part.encoder(part.places(part.words(x)), { mask })));
        return part.answer(mean).slice(1, special.ham, special.spam + 1);
      },
      { ...own, answer: nn.tied(own.words) },
    );
    return network(body, options);
  },
};

/** An LSTM that reads the words of a mail in order, the mean of its states, and a linear layer. */
const lstm: Network = {
  name: "LSTM",
  epochs: 4,
  learningRate: 1e-2,
  make: (options) => {
    const words = nn.embedding(options.words, width, { paddingIndex: special.padding, deviation: 0.3 });
    const body = nn.module(
      (x, part) => {
        const mask = x.notEqual(special.padding);
        const lengths = mask.cast("int32").sum(1);
        return part.head(meanWhere(mask, part.dropped(part.states(part.words(x), { lengths }))));
      },
      { words, states: nn.lstm(width, width), dropped: nn.dropout(options.dropout), head: nn.linear(width, 2) },
    );
    return network(body, options);
  },
};

/** To add a network, create it here. */
export const networks: readonly Network[] = [lstm, transformer, tiedTransformer];
