/** Messages as a user of the page reads them. */
import { type ErrorCode, messageOf, PergradError } from "../src/errors.js";

/** Options of code and the command line that the page does not have. */
const absent = ["sampleAxes", "classAxis", "ignoreIndex", "allowNotFinite"];

/** What to do on the page instead. */
const advice: Partial<Record<ErrorCode, string>> = {
  SHAPE_MISMATCH: "choose another tensor, or drop data of that shape",
  LABEL_OUT_OF_RANGE: "choose another target or loss, or correct the data",
  NOT_FINITE: "correct the data",
};

/** The message, without advice to use options that the page does not have. */
export function messageInPage(error: unknown): string {
  const message = messageOf(error);
  if (!(error instanceof PergradError) || !absent.some((name) => error.names(name))) return message;
  const instead = advice[error.code];
  const end = message.lastIndexOf("; ");
  return instead && end > 0 ? `${message.slice(0, end)}; ${instead}.` : message;
}
