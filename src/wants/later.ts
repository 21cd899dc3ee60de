/** The wants that need much code, which pages load on demand (`want.browser.ts`). */
export { cross } from "./cross.js";
export {
  fisherProduct,
  ggnDiagonal,
  ggnProduct,
  hessianDiagonal,
  hvp,
  jacobian,
  ntk,
  trace,
} from "./curvature.js";
export { cosine, dot, gram } from "./inner-products.js";
export { kroneckerFactors } from "./kronecker.js";
export { project } from "./projection.js";
export { reduce } from "./reduction.js";
export { moments, noiseScale } from "./statistics.js";
