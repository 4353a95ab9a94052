// What the page asks the server: JSON in and out, files as raw bodies, and the stream of events.
// @ts-check
import { _ } from "./translation.js";

const RETRY_MS = 1000;

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
 * Listens to the events of the server while the page is to be seen. A browser has six connections to a server, and would
 * keep those of hidden tabs and of pages that one can go back to. Where the server is away it is tried again.
 * @param {Record<string, (body: any) => void>} listeners by kind of event
 * @param {(isOpen: boolean) => void} onState told of each beginning, after which all may be different, and of each end
 */
export function listen(listeners, onState) {
  /** @type {EventSource | null} */
  let source = null;
  const open = () => {
    if (source || document.hidden) return;
    const opened = new EventSource("/api/events");
    source = opened;
    for (const [kind, listener] of Object.entries(listeners)) {
      opened.addEventListener(kind, (event) => listener(JSON.parse(/** @type {MessageEvent} */ (event).data)));
    }
    opened.onopen = () => onState(true);
    opened.onerror = () => {
      onState(false);
      if (opened.readyState !== EventSource.CLOSED || source !== opened) return;
      source = null;
      setTimeout(open, RETRY_MS);
    };
  };
  const close = () => {
    source?.close();
    source = null;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
}
