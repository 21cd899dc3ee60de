/** Runs one program on the first samples. */
import type { Objective, ObjectiveOptions } from "../compile/objective.js";
import type { Model } from "../graph/model.js";
import { prepare } from "../program/feeds.js";
import { Program } from "../program/program.js";
import { samplesBetween } from "../program/split.js";
import type { Data } from "../tensor/data.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Results, Wants } from "../wants/want.js";
import { lastBitsOf } from "./last-bits.js";

export interface OnFirstSamples<R> {
  readonly found: R;
  /** The results for data and parameters moved in their last bits, `draws` times. */
  again(draws: number): AsyncIterable<R>;
}

/** @param wantFor makes the wants, given the data of the samples */
export async function onFirstSamples<W extends Wants>(
  objective: Objective,
  data: Readonly<Record<string, Data>>,
  { samples, ...options }: ObjectiveOptions & { readonly samples: number },
  wantFor: (part: (count: number) => Readonly<Record<string, Tensor>>) => W,
): Promise<OnFirstSamples<Results<W>>> {
  const prepared = prepare(data, objective.expected, true);
  const part = (count: number) => samplesBetween(prepared, objective.expected, 0, count).feeds;
  const want = wantFor(part);
  const compiled = (model: Model) => Program.compile(model, { ...options, want });
  const run = (program: Program<W>, feeds: Readonly<Record<string, Data>>) =>
    program.run(feeds, { allowNotFinite: true, notFinite: "ignore" });
  const program = await compiled(objective.model);
  const found = await run(program, part(samples));
  await program.release();
  return {
    found,
    again: async function* (draws) {
      const { model } = objective;
      const moved = await compiled({ ...model, parameters: movedIn(model.parameters, 1) });
      try {
        for (let draw = 1; draw <= draws; draw++) yield await run(moved, movedIn(part(samples), draw));
      } finally {
        await moved.release();
      }
    },
  };
}

function movedIn<T extends Tensor>(tensors: Readonly<Record<string, T>>, draw: number): Record<string, T> {
  const moved = lastBitsOf(draw);
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, moved(tensor)]));
}
