/** The part of Node's file system that readers use, and a check that there is one. */
export { readSync } from "node:fs";
export { access, type FileHandle, open, readFile } from "node:fs/promises";
