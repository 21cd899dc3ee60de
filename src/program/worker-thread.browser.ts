/** A Web Worker of a page's: compiles programs, and runs them. */
import { serve } from "../target/onnxruntime/serve.browser.js";
import { compiledFor } from "./compiled-for.js";

serve(compiledFor);
