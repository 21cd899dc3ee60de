/** A Web Worker of a page's: reads models, compiles programs, and runs them. */
import { serve } from "../target/onnxruntime/serve.browser.js";
import { compiledFor } from "./compiled-for.js";
import { readFor } from "./read-elsewhere.js";

serve({ compile: compiledFor, read: readFor });
