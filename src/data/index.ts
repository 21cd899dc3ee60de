/** Tables and pictures as tensors: `import { packRows, readRows } from "pergrad/data"`. In Node only. */
export type { Row } from "./columns.js";
export { type PackImagesOptions, packImages } from "./pack-images.js";
export { type Packed, type PackRowsOptions, packRows } from "./pack-rows.js";
export { readRows } from "./rows.js";
