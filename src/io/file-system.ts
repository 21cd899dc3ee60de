/** What readers of files take of Node's file system. */
export { type FileHandle, open, readFile } from "node:fs/promises";
