/** What readers of files take of Node's file system, and who looks whether there is one. */
export { readSync } from "node:fs";
export { access, type FileHandle, open, readFile } from "node:fs/promises";
