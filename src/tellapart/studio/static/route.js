// The address of the page: which view, and what of it. Every view can be opened, linked and left by the browser's keys.
// @ts-check
import { computed, signal } from "./vendor/signals.js";

const VIEWS = ["collect", "train", "check", "try", "use"];

const address = signal(location.pathname + location.search);

export const view = computed(() => {
  const name = address.value.split("?")[0].slice(1);
  return VIEWS.includes(name) ? name : "collect";
});
export const query = computed(() => new URLSearchParams(address.value.split("?")[1] || ""));

/** @param {string} to @param {boolean} [isReplaced] whether the browser's Back should leave out the present address */
export function go(to, isReplaced = false) {
  if (to === address.value) return;
  history[isReplaced ? "replaceState" : "pushState"](null, "", to);
  address.value = to;
}

/** Links of the page change the view without loading the page again. @param {MouseEvent} event */
export function followLink(event) {
  const link = /** @type {HTMLAnchorElement} */ (event.currentTarget);
  if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(link.pathname + link.search);
}

addEventListener("popstate", () => (address.value = location.pathname + location.search));
