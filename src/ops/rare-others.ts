/** The rarest operators, for pages (`rare.browser.ts`). */
import { bitwise } from "./rules/bitwise.js";
import { deformable } from "./rules/deformable.js";
import { fourier } from "./rules/fourier.js";
import { grids } from "./rules/grids.js";
import { losses } from "./rules/losses.js";
import { matrices } from "./rules/matrices.js";
import { oneHot } from "./rules/one-hot.js";
import { ordering } from "./rules/ordering.js";
import { matMulInteger } from "./rules/quantised.js";
import { random } from "./rules/random.js";
import { regions } from "./rules/regions.js";
import { resize } from "./rules/resize.js";
import { roiAligning } from "./rules/roi-align.js";
import { running } from "./rules/running.js";
import { selection } from "./rules/selection.js";
import { signal } from "./rules/signal.js";

export const definitions = [
  ...bitwise,
  ...deformable,
  ...fourier,
  ...grids,
  ...losses,
  ...matrices,
  matMulInteger,
  ...oneHot,
  ...ordering,
  ...random,
  ...regions,
  ...resize,
  ...roiAligning,
  ...running,
  ...selection,
  ...signal,
];
