/** Where a cluster is, and the token that it asks for. */
import { invalidArgument } from "../../arguments.js";
import { PergradError } from "../../errors.js";

/** A Ray cluster's dashboard, to which jobs are submitted. */
export interface RayAddress {
  /** The engine. */
  readonly kind: "ray";
  /** Without a slash at the end. */
  readonly url: string;
}

/** Throws INVALID_ARGUMENT. */
export function addressOf(given: string): RayAddress {
  const advice = "give the address of Ray's dashboard, such as http://127.0.0.1:8265";
  if (typeof given !== "string" || !URL.canParse(given))
    throw invalidArgument(`${JSON.stringify(given) ?? "undefined"} is not the address of a Ray cluster; ${advice}.`);
  const url = new URL(given);
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw invalidArgument(`The address of a Ray cluster begins with http or https, not ${url.protocol}; ${advice}.`);
  // Addresses are printed, and listed with the processes of a machine.
  if (url.username !== "" || url.password !== "")
    throw invalidArgument(`The address of a Ray cluster must not hold a password; set RAY_AUTH_TOKEN, and ${advice}.`);
  return { kind: "ray", url: `${url.origin}${url.pathname.replace(/\/+$/, "")}` };
}

/** Whether data sent to the host stays on this machine. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);
}

/**
 * The token in the environment (`RAY_AUTH_TOKEN`), if nobody on the way can read what is sent; null if there is none.
 * @throws PergradError CLUSTER_REFUSED, INVALID_ARGUMENT.
 */
export function tokenFor(
  { url }: RayAddress,
  environment: Readonly<Record<string, string | undefined>>,
): string | null {
  const token = environment.RAY_AUTH_TOKEN?.trim() ?? "";
  if (token === "") return null;
  if (!/^[\x21-\x7e]+$/.test(token))
    throw invalidArgument("RAY_AUTH_TOKEN holds a space or another character that tokens cannot have; correct it.");
  const { protocol, hostname, port } = new URL(url);
  if (protocol === "https:" || isLoopback(hostname)) return token;
  const tunnel = `ssh -L 8265:127.0.0.1:${port === "" ? "80" : port} ${hostname}, and http://127.0.0.1:8265 here`;
  throw new PergradError(
    "CLUSTER_REFUSED",
    `The token in RAY_AUTH_TOKEN would be sent to "${hostname}" over plain HTTP, where others can read it; use https, or a tunnel: ${tunnel}.`,
  );
}

/** The error of a page that asks for a cluster: a browser shares no disk with one. */
export function notFromBrowser({ url }: RayAddress): PergradError {
  return new PergradError("CLUSTER_UNREACHABLE", `A browser cannot submit jobs to ${url}; submit them from Node.`);
}
