/**
 * Property tests draw the same cases at every run, so that a run says something of the change and not of its
 * luck; PERGRAD_SEED=n draws others.
 */
import fc from "fast-check";

fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(process.env.PERGRAD_SEED ?? 1) });
