/** Digests of file contents, so that a reader can tell whether it has the same. */
import { createHash } from "node:crypto";

/** SHA-256 (FIPS 180-4) of these bytes, in hexadecimal. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
