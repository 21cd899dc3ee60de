/** The examples of docs/curvature.md: they compile, run, and print what they say. */
import { testExamples } from "../support/doc-examples.js";

testExamples("curvature");
