/**
 * Requests to Ray's dashboard. They use node:http, not `fetch`: Node's fetch sends `sec-fetch-mode`, so Ray takes it for a
 * browser and refuses its PUT and POST.
 */
import { request as plain } from "node:http";
import { request as encrypted } from "node:https";

export interface HttpRequest {
  readonly method: "GET" | "PUT" | "POST";
  readonly path: string;
  readonly body?: Uint8Array;
  readonly contentType?: string;
}

export interface HttpResponse {
  readonly status: number;
  readonly text: string;
}

/** Milliseconds without a byte after which a cluster counts as unreachable. */
const silence = 60_000;

/**
 * Rejects with the system's error if no response comes. Each request opens a connection of its own, because Ray closes kept
 * ones, perhaps just as the next request is sent. Redirects are not followed, so that the token goes nowhere else.
 */
export function send(
  url: string,
  { method, path, body, contentType }: HttpRequest,
  token: string | null,
): Promise<HttpResponse> {
  const request = url.startsWith("https:") ? encrypted : plain;
  const headers = {
    ...(body ? { "content-length": body.length, "content-type": contentType ?? "application/octet-stream" } : {}),
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
  };
  return new Promise((resolve, reject) => {
    const sent = request(`${url}${path}`, { method, headers, timeout: silence, agent: false }, (response) => {
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
