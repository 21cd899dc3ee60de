/** The domain of the operators of classic machine learning. */
export const mlDomain = "ai.onnx.ml";
