/** Profiles, in a page: no runtime in a browser reports where its time goes. */
import { PergradError } from "../errors.js";
import type { Profile } from "../inspect/profile.js";
import type { Target } from "../target/target.js";

export function noProfiler({ version }: Target): PergradError {
  return new PergradError("RUNTIME", `${version} has no profiler; compile for another runtime.`);
}

/** Throws RUNTIME. */
export async function profileOf(_planned: unknown, _settings: unknown, target: Target): Promise<Profile> {
  throw noProfiler(target);
}
