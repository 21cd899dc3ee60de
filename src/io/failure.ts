import { messageOf, PergradError } from "../errors.js";

const reasons: Record<string, string> = {
  EACCES: "permission is denied",
  EPERM: "permission is denied",
  EEXIST: "a file of that name is in the way",
  EISDIR: "it is a directory, not a file",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EROFS: "the file system is read-only",
  EMFILE: "too many files are open",
  ENAMETOOLONG: "the name is too long",
  ERR_FS_FILE_TOO_LARGE: "it is larger than 2 GiB, so use .safetensors instead",
};

function reasonOf(error: unknown, missing: string): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ENOENT" || code === "ENOTDIR") return missing;
  return reasons[code] ?? messageOf(error);
}

/** The error to throw if reading `path` failed with `cause`. */
export function unreadable(path: string, cause: unknown): PergradError {
  if (cause instanceof PergradError) return cause;
  const missing = /^https?:/i.test(path)
    ? "it is on another machine; download it first, and give its path"
    : "it does not exist";
  const message = `Cannot read "${path}": ${reasonOf(cause, missing)}.`;
  return new PergradError("FILE_UNREADABLE", message, { cause });
}

/** The error for a tensor that a file does not hold. */
export function unknownTensor(path: string, name: string): PergradError {
  return new PergradError(
    "FILE_UNREADABLE",
    `"${path}" holds no tensor "${name}"; give the name of one that it holds.`,
  );
}

/** The error for a file that changed since it was opened. */
export function changedFile(path: string): PergradError {
  return new PergradError(
    "FILE_UNREADABLE",
    `"${path}" changed while it was being read; leave it unchanged until the end, and start again.`,
  );
}

/** The error for a standard output that takes no more. */
export function outputUnwritable(cause: unknown): PergradError {
  const reason = reasonOf(cause, "it is closed");
  return new PergradError("FILE_UNWRITABLE", `Cannot write to the standard output: ${reason}.`, { cause });
}

/** The error to throw if writing `path` failed with `cause`. */
export function unwritable(path: string, cause: unknown): PergradError {
  if (cause instanceof PergradError) return cause;
  const message = `Cannot write "${path}": ${reasonOf(cause, "its folder does not exist")}.`;
  return new PergradError("FILE_UNWRITABLE", message, { cause });
}
