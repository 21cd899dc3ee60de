/** Loads graphs that are not programs. */
import { type EncodableProgram, encodeModel } from "../../onnx/write/encode.js";
import { copiesOf } from "../../tensor/data.js";
import type { Runtime, RuntimeOptions, Session } from "../runtime.js";
import { samplesIn } from "../samples-in.js";
import { adapted, adaptedForNone } from "./adapt.js";
import { loadSeldom } from "./workarounds/seldom.js";

/** Adapts a graph and loads it; for an empty batch, once one comes, it may load another version. */
export async function load(runtime: Runtime, program: EncodableProgram, options?: RuntimeOptions): Promise<Session> {
  await loadSeldom();
  const session = await runtime.load(encodeModel(adapted(program)), options);
  const ofNone = adaptedForNone(program);
  if (!ofNone) return session;
  let forNone: Promise<Session> | undefined;
  return {
    run: async (feeds, seen) => {
      if (samplesIn(program.inputs, feeds) !== 0) return session.run(feeds, seen);
      const own = copiesOf(feeds);
      forNone ??= runtime.load(encodeModel(ofNone), options);
      return (await forNone).run(own);
    },
    release: async () => {
      await session.release();
      await (await forNone)?.release();
    },
  };
}
