/** Random cases of attention and rotary embeddings. */
import fc from "fast-check";
import type { Attributes } from "../../src/graph/value.js";
import { filled, type OpInput } from "./op-checks.js";
import type { Cases } from "./op-suite.js";

const microsoft = "com.microsoft";
const pick = fc.constantFrom;
const upTo = (max: number, min = 1) => fc.integer({ min, max });
const shared = { shared: true };
const small = fc.integer({ min: -40, max: 40 }).map((i) => i * 0.031 + 0.0137);
const none = fc.constant(null);
const when = (there: boolean, make: fc.Arbitrary<OpInput>) => (there ? make : none);

function inOrder(inputs: readonly (OpInput | null)[]): (OpInput | null)[] {
  const list = [...inputs];
  while (list.at(-1) === null) list.pop();
  return list;
}

const given = (attributes: Record<string, number | undefined>): Attributes =>
  Object.fromEntries(
    Object.entries(attributes).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );

const sizeOf = (dims: readonly number[]) => dims.reduce((product, dim) => product * dim, 1);

/** Zeros and ones, the first of each line 1: no query is without a key. */
const flags = (dims: readonly number[], dtype: "bool" | "int32"): fc.Arbitrary<OpInput> => {
  const line = dims.at(-1) ?? 1;
  return fc
    .array(fc.nat(1), { minLength: sizeOf(dims), maxLength: sizeOf(dims) })
    .map((data) => ({ dims, data: data.map((flag, k) => (k % line === 0 ? 1 : flag)), dtype }));
};

/** Numbers from 1 to `most`. */
const counts = (size: number, most: number, dtype: "int32" | "int64"): fc.Arbitrary<OpInput> =>
  fc.array(upTo(most), { minLength: size, maxLength: size }).map((data) => ({ dims: [size], data, dtype }));

// RotaryEmbedding

export const rotaryCases = (domain: string): Cases =>
  fc
    .record({
      batch: upTo(2),
      length: upTo(3),
      heads: upTo(2),
      half: upTo(2),
      rest: fc.nat(2),
      four: fc.boolean(),
      interleaved: fc.nat(1),
      positions: pick("table", "start", "each"),
    })
    .chain(({ batch, length, heads, half, rest, four, interleaved, positions }) => {
      const size = 2 * half + rest;
      const table = domain === "" && positions !== "each" ? [batch, length, half] : [6, half];
      const places = domain !== "" && positions === "start" ? [1] : [batch, length];
      const ids = fc
        .array(fc.nat(3), { minLength: sizeOf(places), maxLength: sizeOf(places) })
        .map((data): OpInput => ({ dims: places, data, dtype: "int64", shared: true }));
      const own = table.length === 3 ? {} : shared;
      return fc
        .tuple(
          filled(four ? [batch, heads, length, size] : [batch, length, heads * size]),
          filled(table, small, own),
          filled(table, small, own),
          ids,
        )
        .map(([x, cosines, sines, at]) => ({
          op: "RotaryEmbedding",
          domain,
          inputs:
            domain !== ""
              ? [x, at, cosines, sines]
              : table.length === 3
                ? [x, cosines, sines]
                : [x, cosines, sines, at],
          // The whole head, and the number of heads, need not be said.
          attributes: given({
            interleaved,
            num_heads: four && rest === 0 ? undefined : heads,
            rotary_embedding_dim: rest === 0 ? undefined : 2 * half,
          }),
        }));
    });

// Attention of opset 23

export const attentionCases = (caches: boolean): Cases =>
  fc
    .record({
      sizes: fc.record({
        batch: upTo(2),
        keyHeads: upTo(2),
        shares: upTo(2),
        queries: upTo(3),
        keys: upTo(3),
        size: upTo(2),
        valueSize: upTo(2),
        past: caches ? fc.nat(2) : fc.constant(0),
      }),
      four: fc.boolean(),
      mask: pick("none", "none", "bool", "float"),
      maskRank: upTo(4),
      is_causal: fc.nat(1),
      scale: pick(undefined, 0.4),
      softcap: pick(undefined, 2.5),
      qk_matmul_output_mode: pick(undefined, 0, 1, 2, 3),
      outputs: upTo(4),
    })
    .chain(({ sizes, four, mask, maskRank, outputs, ...attributes }) => {
      const { batch, keyHeads, shares, queries, keys, size, valueSize, past } = sizes;
      const heads = keyHeads * shares;
      const tensor = (count: number, length: number, own: number) =>
        filled(four ? [batch, count, length, own] : [batch, length, count * own], small);
      const cache = (own: number) => when(past > 0, filled([batch, keyHeads, past, own], small));
      // Without a line of its own for each query, no query is blind: its first key is seen by all.
      const full = [batch, heads, queries, past + keys].slice(4 - maskRank);
      // Scores of -inf are not comparable.
      const infinite = mask === "bool" || attributes.is_causal === 1;
      const mode = infinite && attributes.qk_matmul_output_mode === 2 ? 0 : attributes.qk_matmul_output_mode;
      return fc
        .tuple(
          tensor(heads, queries, size),
          tensor(keyHeads, keys, size),
          tensor(keyHeads, keys, valueSize),
          mask === "none" ? none : mask === "bool" ? flags(full, "bool") : filled(full, small),
          cache(size),
          cache(valueSize),
        )
        .map((inputs) => ({
          op: "Attention",
          inputs: inOrder(inputs),
          attributes: given({
            ...attributes,
            qk_matmul_output_mode: mode,
            ...(four ? {} : { q_num_heads: heads, kv_num_heads: keyHeads }),
          }),
          outputs,
        }));
    });

// Attention of ONNX Runtime

const filters = pick(undefined, -7.5);

export const projectedCases: Cases = fc
  .record({
    sizes: fc.record({
      batch: upTo(2),
      length: upTo(3),
      hidden: upTo(3),
      heads: upTo(2),
      size: upTo(2),
      valueSize: upTo(2),
    }),
    biased: fc.boolean(),
    mask: pick("none", "lengths", "keys", "queries", "dummy"),
    extra: fc.boolean(),
    unidirectional: fc.nat(1),
    scale: pick(undefined, 0.4),
    mask_filter_value: filters,
    outputs: upTo(2),
  })
  .chain(({ sizes, biased, mask, extra, outputs, ...attributes }) => {
    const { batch, length, hidden, heads, size, valueSize } = sizes;
    const same = outputs === 2 || size === valueSize;
    const widths = [heads * size, heads * size, heads * (same ? size : valueSize)];
    const width = widths.reduce((sum, own) => sum + own, 0);
    const masks = {
      none,
      lengths: counts(batch, length, "int32"),
      keys: flags([batch, length], "int32"),
      queries: flags([batch, length, length], "int32"),
      dummy: flags([batch, 1], "int32"),
    };
    return fc
      .tuple(
        filled([batch, length, hidden], small),
        filled([hidden, width], small, shared),
        when(biased, filled([width], small, shared)),
        masks[mask] as fc.Arbitrary<OpInput | null>,
        none,
        when(extra, filled([batch, heads, length, length], small)),
      )
      .map((inputs) => ({
        op: "Attention",
        domain: microsoft,
        inputs: inOrder(inputs),
        attributes: {
          ...given({ ...attributes, num_heads: heads }),
          ...(same ? {} : { qkv_hidden_sizes: widths }),
        },
        outputs,
      }));
  });

export const multiHeadCases: Cases = fc
  .record({
    sizes: fc.record({
      batch: upTo(2),
      queries: upTo(3),
      keys: upTo(3),
      heads: upTo(2),
      size: upTo(2),
      valueSize: upTo(2),
    }),
    form: pick("apart", "keys by heads", "keys and values", "all"),
    biased: fc.boolean(),
    mask: pick("none", "lengths", "keys", "queries"),
    extra: pick("none", "one", "heads", "each"),
    unidirectional: fc.nat(1),
    scale: pick(undefined, 0.4),
    mask_filter_value: filters,
    outputs: upTo(3),
  })
  .chain(({ sizes, form, biased, mask, extra, outputs, ...attributes }) => {
    const { batch, queries, heads, size } = sizes;
    // Causal order is between as many keys as queries; packed and given heads have one size.
    const keys = form === "all" || attributes.unidirectional === 1 ? queries : sizes.keys;
    const valueSize = form === "apart" ? sizes.valueSize : size;
    const flat = (length: number, own: number) => filled([batch, length, heads * own], small);
    const packed = (length: number, parts: number) => filled([batch, length, heads, parts, size], small);
    const byHeads = filled([batch, heads, keys, size], small);
    const tensors = {
      apart: [flat(queries, size), flat(keys, size), flat(keys, valueSize)],
      "keys by heads": [flat(queries, size), byHeads, byHeads],
      "keys and values": [flat(queries, size), packed(keys, 2), none],
      all: [packed(queries, 3), none, none],
    }[form] as fc.Arbitrary<OpInput | null>[];
    const masks = {
      none,
      lengths: counts(batch, keys, "int32"),
      keys: flags([batch, keys], "int32"),
      queries: flags([batch, queries, keys], "int32"),
    };
    const extras = {
      none: [],
      one: [1, 1, queries, keys],
      heads: [1, heads, queries, keys],
      each: [batch, heads, queries, keys],
    };
    const bias = biased && (form === "apart" || form === "all");
    return fc
      .tuple(
        ...tensors,
        when(bias, filled([heads * (2 * size + valueSize)], small, shared)),
        masks[mask] as fc.Arbitrary<OpInput | null>,
        when(extra !== "none", filled(extras[extra], small)),
      )
      .map((inputs) => ({
        op: "MultiHeadAttention",
        domain: microsoft,
        inputs: inOrder(inputs),
        attributes: given({ ...attributes, num_heads: heads }),
        outputs,
      }));
  });

const lowest = -3.4028234663852886e38;

/** The numbers of some of a case's inputs, drawn anew. */
const redrawn = (cases: Cases, draw: Readonly<Record<number, (input: OpInput) => fc.Arbitrary<OpInput>>>): Cases =>
  cases.chain((test) =>
    fc
      .tuple(...test.inputs.map((input, k) => (input && draw[k] ? draw[k](input) : fc.constant(input))))
      .map((inputs) => ({ ...test, inputs })),
  );

/** Some of the numbers are `hidden`, in half of the cases all. */
const hides = (hidden: number) => (input: OpInput) => {
  const { length } = input.data;
  const some = fc.array(fc.boolean(), { minLength: length, maxLength: length });
  const which = fc.oneof(some, fc.constant(input.data.map(() => true)));
  return which.map((marks) => ({ ...input, data: input.data.map((x, k) => (marks[k] ? hidden : x)) }));
};

/**
 * Masks, or biases, of the lowest number that leave queries without any key, in causal order or not. (Of both at once
 * the sum is -Infinity: all is NaN, in the kernel too.)
 */
export const blindCases = (op: "Attention" | "MultiHeadAttention"): Cases => {
  const [cases, mask] = op === "Attention" ? [projectedCases, 3] : [multiHeadCases, 4];
  return redrawn(cases, { [mask]: hides(0), 5: hides(lowest) }).map((test) => ({
    ...test,
    attributes: { ...test.attributes, mask_filter_value: test.inputs[5] ? -7.5 : lowest },
  }));
};

/**
 * GroupQueryAttention, as its kernel takes it: no sample is padded, and where positions are given, the samples' first ones
 * are the same. (The kernel takes that of the first sample for all.)
 */
export const groupedCases = (size: number): Cases =>
  fc
    .record({
      batch: upTo(2),
      length: upTo(3),
      keyHeads: upTo(2),
      shared: upTo(2),
      packed: fc.boolean(),
      turned: pick("not", "from 0", "from 2"),
      norm: fc.boolean(),
      biased: fc.boolean(),
      sink: pick("none", "zero", "trained"),
      causal: pick(undefined, 0),
      window: pick(undefined, 1, 2),
      softcap: pick(undefined, 0.7),
      scale: pick(undefined, 0.4),
      rotary_interleaved: fc.nat(1),
      outputs: pick(1, 3),
      past: pick(0, 2, 3),
      counts: fc.tuple(fc.nat(3), fc.nat(3)),
      shorter: fc.boolean(),
    })
    .chain((drawn) => {
      const { batch, length, keyHeads, packed, turned, norm, sink, causal, softcap, scale, past } = drawn;
      const biased = drawn.biased && past === 0;
      // How much of its cache each sample has filled; and whether what they give is no longer than the longest needs.
      const counts = drawn.counts.slice(0, batch).map((count) => Math.min(count, past));
      const total = length + (drawn.shorter ? Math.max(...counts) : past);
      const heads = keyHeads * drawn.shared;
      const of = (count: number) => filled([batch, length, count * size], small);
      const vector = (there: boolean, count: number) => when(there, filled([count], small, shared));
      const whole = (dims: number[], data: number[], dtype: "int32" | "int64"): OpInput => ({ dims, data, dtype });
      const ids = Array.from({ length: batch * length }, (_, k) => 2 + (k % length));
      const angles = when(turned !== "not", filled([12, size / 2], small, shared));
      const cache = when(past > 0, filled([batch, keyHeads, past, size], small));
      const lengths = whole(
        [batch],
        counts.map((count) => count + length - 1),
        "int32",
      );
      const most = past > 0 ? { constant: true } : { shared: true };
      const constants = [cache, cache, fc.constant(lengths), fc.constant({ ...whole([], [total], "int32"), ...most })];
      return fc
        .tuple(
          of(packed ? heads + 2 * keyHeads : heads),
          packed ? none : of(keyHeads),
          packed ? none : of(keyHeads),
          ...constants,
          angles,
          angles,
          turned === "from 2" ? fc.constant(whole([batch, length], ids, "int64")) : none,
          when(biased, filled([1, heads, length, length], small, shared)),
          vector(sink === "trained", heads),
          none,
          none,
          vector(norm, size),
          vector(norm, size),
        )
        .map((inputs) => ({
          op: "GroupQueryAttention",
          domain: microsoft,
          inputs: inOrder(inputs),
          attributes: given({
            num_heads: heads,
            kv_num_heads: keyHeads,
            causal,
            softcap,
            scale,
            // A window is one of causal attention.
            local_window_size: causal === 0 ? undefined : drawn.window,
            smooth_softmax: sink === "zero" ? 1 : undefined,
            // Large: heads of small elements have steep norms, of which differences are not exact.
            qk_norm_epsilon: norm ? 0.5 : undefined,
            do_rotary: turned === "not" ? undefined : 1,
            rotary_interleaved: turned === "not" ? undefined : drawn.rotary_interleaved,
          }),
          // Without the caches that it gives, the kernel does not read those that it is given.
          outputs: past > 0 ? 3 : drawn.outputs,
        }));
    });
