/** A browser has no folder for an index: scores are computed from the samples. */
import { PergradError } from "../../errors.js";

function refused(code: "FILE_UNREADABLE" | "FILE_UNWRITABLE", folder: unknown): PergradError {
  const what = code === "FILE_UNREADABLE" ? "read" : "write";
  const advice = "take attribution.scores, which needs none";
  return new PergradError(code, `Cannot ${what} the index "${String(folder)}": a browser has no folders; ${advice}.`);
}

export const AttributionIndex = {
  async build(_model: unknown, _train: unknown, { out }: { readonly out: string }): Promise<never> {
    throw refused("FILE_UNWRITABLE", out);
  },

  async open(folder: string): Promise<never> {
    throw refused("FILE_UNREADABLE", folder);
  },
};
