/** Where a cluster is, and by which token it knows us. */
import { invalidArgument } from "../../arguments.js";
import { PergradError } from "../../errors.js";

/** A Ray cluster's dashboard, through which jobs are handed in. */
export interface RayAddress {
  /** The engine. */
  readonly kind: "ray";
  /** Without a slash at its end. */
  readonly url: string;
}

/** Throws INVALID_ARGUMENT. */
export function addressOf(given: string): RayAddress {
  const advice = "give the address of Ray's dashboard, as http://127.0.0.1:8265";
  if (typeof given !== "string" || !URL.canParse(given))
    throw invalidArgument(`${JSON.stringify(given) ?? "undefined"} is no address of a Ray cluster; ${advice}.`);
  const url = new URL(given);
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw invalidArgument(`The address of a Ray cluster begins with http or https, not ${url.protocol}; ${advice}.`);
  // Addresses are printed, and listed with the processes of a machine.
  if (url.username !== "" || url.password !== "")
    throw invalidArgument(`The address of a Ray cluster holds no password; set RAY_AUTH_TOKEN, and ${advice}.`);
  return { kind: "ray", url: `${url.origin}${url.pathname.replace(/\/+$/, "")}` };
}

/** Whether what is sent there stays on this machine. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);
}

/**
 * The token of the environment, which is sent along only where nobody on the way can read it.
 * @throws PergradError CLUSTER_REFUSED, INVALID_ARGUMENT.
 */
export function tokenFor(
  { url }: RayAddress,
  environment: Readonly<Record<string, string | undefined>>,
): string | null {
  const token = environment.RAY_AUTH_TOKEN?.trim() ?? "";
  if (token === "") return null;
  if (!/^[\x21-\x7e]+$/.test(token))
    throw invalidArgument("RAY_AUTH_TOKEN holds a space or another character that no token has; set it anew.");
  const { protocol, hostname, port } = new URL(url);
  if (protocol === "https:" || isLoopback(hostname)) return token;
  const tunnel = `ssh -L 8265:127.0.0.1:${port === "" ? "80" : port} ${hostname}, and http://127.0.0.1:8265 here`;
  throw new PergradError(
    "CLUSTER_REFUSED",
    `The token in RAY_AUTH_TOKEN would be sent to "${hostname}" over plain HTTP, where others can read it; use https, or a tunnel: ${tunnel}.`,
  );
}
