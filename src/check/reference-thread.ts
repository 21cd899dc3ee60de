/** A thread of the reference: answers the questions of references.ts. */
import { parentPort, workerData } from "node:worker_threads";
import { defect, PergradError } from "../errors.js";
import { differenceErrors } from "./differences.js";
import { Reference } from "./oracle.js";
import type { Answer, Question, SentParts } from "./reference-messages.js";
import { receivedParts } from "./references.js";

const reference = new Reference(receivedParts(workerData as SentParts));

function answer({ sample, tries, products }: Question): Answer {
  try {
    if (tries) return { errors: differenceErrors(reference, sample, tries) };
    if (products) return { products: [...reference.products(sample)] };
    return { gradients: [...reference.sample(sample).gradients] };
  } catch (error) {
    const { code, message } = error instanceof PergradError ? error : defect(String(error), error);
    return { error: { code, message } };
  }
}

parentPort?.on("message", (question: Question) => parentPort?.postMessage(answer(question)));
