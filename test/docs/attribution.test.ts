/** The examples of docs/attribution.md: they compile, run, and print what they say. */
import { testExamples } from "../support/doc-examples.js";

testExamples("attribution");
