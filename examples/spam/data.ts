/** Mails as tensors, split into a training part and a held-out part. */
import { type Tensor, tensor } from "../../src/index.js";
import { random } from "../../src/tensor/random.js";
import { stratify } from "../digits/data.js";
import type { Mail } from "./mails.js";
import { encode, vocabularyOf, wordsOfMail } from "./tokens.js";

/** Words per mail: those after them are not read. */
export const length = 128;

export type Batch = {
  /** Numbers of words, `[N, length]`. */
  readonly x: Tensor<"int64">;
  /** 0 for ham, 1 for spam, `[N]`. */
  readonly target: Tensor<"int64">;
};

export interface Part {
  readonly mails: readonly Mail[];
  readonly batch: Batch;
}

export interface Corpus {
  readonly train: Part;
  readonly heldOut: Part;
  readonly vocabulary: ReadonlyMap<string, number>;
}

export interface CorpusOptions {
  readonly seed: number;
  /** The share of the mails that is held out. Default: a fifth. */
  readonly heldOut?: number;
  /** The number of words in the vocabulary. Default: 4000. */
  readonly words?: number;
}

/** Mails that contain text, each wording once: copies could end up in both parts. */
export function distinct(mails: readonly Mail[]): { mail: Mail; words: readonly string[] }[] {
  const seen = new Set<string>();
  return mails.flatMap((mail) => {
    const words = wordsOfMail(mail, length);
    const key = words.join(" ");
    if (words.length < 2 || seen.has(key)) return [];
    seen.add(key);
    return [{ mail, words }];
  });
}

/** The mails of both parts, one part after the other. */
export function together({ train, heldOut }: Corpus): Batch {
  const joined = <K extends "x" | "target">(name: K): Tensor<"int64"> => {
    const [first, second] = [train.batch[name], heldOut.batch[name]];
    const [samples, ...rest] = [train.mails.length + heldOut.mails.length, ...first.dims.slice(1)];
    return tensor("int64", [samples, ...rest], BigInt64Array.from([...first.data, ...second.data]));
  };
  return { x: joined("x"), target: joined("target") };
}

/** Spam and ham are in the same proportion in both parts. The vocabulary comes from the training words only. */
export function corpusOf(mails: readonly Mail[], { seed, heldOut = 0.2, words: size = 4000 }: CorpusOptions): Corpus {
  const kept = distinct(mails);
  const labels = kept.map(({ mail }) => Number(mail.spam));
  const { train, test } = stratify(labels, Math.round(heldOut * kept.length), random(seed));
  const select = (indices: readonly number[]) => indices.flatMap((k) => kept[k] ?? []);
  const vocabulary = vocabularyOf(
    select(train).map(({ words }) => words),
    size,
  );
  const part = (indices: readonly number[]): Part => {
    const own = select(indices);
    const numbers = own.flatMap(({ words }) => encode(words, vocabulary, length));
    return {
      mails: own.map(({ mail }) => mail),
      batch: {
        x: tensor("int64", [own.length, length], BigInt64Array.from(numbers)),
        target: tensor(
          "int64",
          [own.length],
          BigInt64Array.from(own, ({ mail }) => BigInt(mail.spam)),
        ),
      },
    };
  };
  return { train: part(train), heldOut: part(test), vocabulary };
}
