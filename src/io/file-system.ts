/** What readers of files take of Node's file system. */
export { readSync } from "node:fs";
export { type FileHandle, open, readFile } from "node:fs/promises";
