// What the page asks the server: JSON in and out, files as raw bodies, and the stream of events.
// @ts-check
import { _ } from "./translation.js";

/** An answer that is not what was asked for; its message is one line for the person at the page. */
export class ApiError extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * The JSON that the server answers.
 * @param {string} address
 * @param {RequestInit} [settings]
 * @returns {Promise<any>}
 */
export async function ask(address, settings = {}) {
  let response;
  try {
    response = await fetch(address, { credentials: "same-origin", ...settings });
  } catch {
    throw new ApiError(0, _("Studio does not answer. Is it still running?"));
  }
  let answer;
  try {
    answer = await response.json();
  } catch {
    answer = {};
  }
  if (!response.ok) throw new ApiError(response.status, answer.error || `HTTP ${response.status}`);
  return answer;
}

/** @param {string} address @param {unknown} body */
export const post = (address, body) =>
  ask(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

/** @param {string} address @param {Blob} file @param {Record<string, string>} [headers] */
export const send = (address, file, headers = {}) =>
  ask(address, { method: "POST", headers: { "Content-Type": "application/octet-stream", ...headers }, body: file });

/** The token that the address brought in its fragment, which is then gone from the address. */
export function takeToken() {
  const token = location.hash.slice(1);
  if (token) history.replaceState(null, "", location.pathname + location.search);
  return token;
}

/**
 * Listens to the events of the server, from the last one heard on. A browser alone gives up where the server is away
 * and refuses; here it is tried again until it is back.
 * @param {Record<string, (body: any) => void>} listeners by kind of event
 * @param {(isOpen: boolean) => void} onState
 */
export function listen(listeners, onState) {
  const source = new EventSource("/api/events");
  for (const [kind, listener] of Object.entries(listeners)) {
    source.addEventListener(kind, (event) => listener(JSON.parse(/** @type {MessageEvent} */ (event).data)));
  }
  source.onopen = () => onState(true);
  source.onerror = () => {
    onState(false);
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(listeners, onState), 1000);
  };
}
