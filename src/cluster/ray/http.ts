/**
 * One request at a time to Ray's dashboard. By node:http and not by `fetch`: Node's fetch sends `sec-fetch-mode`, by
 * which Ray takes it for a browser, whose PUT and POST it refuses.
 */
import { request as plain } from "node:http";
import { request as encrypted } from "node:https";

export interface Asked {
  readonly method: "GET" | "PUT" | "POST";
  readonly path: string;
  readonly body?: Uint8Array;
  readonly contentType?: string;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** Milliseconds without a byte after which a cluster counts as unreachable. */
const silence = 60_000;

/**
 * Rejects with the system's error where no answer comes. Each request has a connection of its own: Ray closes those that are
 * kept, perhaps as the next request is sent. Redirects are answers: a token follows none.
 */
export function ask(url: string, { method, path, body, contentType }: Asked, token: string | null): Promise<Answer> {
  const send = url.startsWith("https:") ? encrypted : plain;
  const headers = {
    ...(body ? { "content-length": body.length, "content-type": contentType ?? "application/octet-stream" } : {}),
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
  };
  return new Promise((resolve, reject) => {
    const sent = send(`${url}${path}`, { method, headers, timeout: silence, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") }),
      );
    });
    sent.on("error", reject);
    sent.on("timeout", () => sent.destroy(Object.assign(new Error("no answer"), { code: "ETIMEDOUT" })));
    sent.end(body);
  });
}
