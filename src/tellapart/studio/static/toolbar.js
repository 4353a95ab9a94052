// Controls that Tab reaches as one: the arrows, Home and End go from one to another, as ARIA's practices have it for
// toolbars. Whoever comes back finds the one that was left.
// @ts-check
import { html } from "./html.js";
import { useLayoutEffect, useRef } from "./vendor/hooks.js";

const ITEMS = "a[href], button:not(:disabled), input:not(:disabled)";
const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

/** @param {HTMLElement} box @returns {HTMLElement[]} */
const itemsOf = (box) => [...box.querySelectorAll(/** @type {any} */ (ITEMS))];

/**
 * What makes the controls in an element one stop of Tab, which is at first the one that is current, else the first.
 * @returns {Record<string, unknown>} properties of the element
 */
export function useOneStop() {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const left = useRef(/** @type {HTMLElement | null} */ (null));
  // After each render: there may be other controls.
  useLayoutEffect(() => {
    const items = itemsOf(/** @type {HTMLElement} */ (box.current));
    const stop = items.find((one) => one === left.current) ?? items.find((one) => one.hasAttribute("aria-current")) ?? items[0];
    for (const one of items) one.tabIndex = one === stop ? 0 : -1;
  });
  return {
    ref: box,
    /** @param {FocusEvent} event */
    onFocusIn: (event) => {
      left.current = /** @type {HTMLElement} */ (event.target);
      for (const one of itemsOf(/** @type {HTMLElement} */ (box.current))) one.tabIndex = one === left.current ? 0 : -1;
    },
    /** @param {KeyboardEvent} event */
    onKeyDown: (event) => {
      const items = itemsOf(/** @type {HTMLElement} */ (box.current)).filter((one) => one.offsetParent);
      const at = items.indexOf(/** @type {HTMLElement} */ (event.target));
      const by = STEPS[/** @type {keyof typeof STEPS} */ (event.key)];
      const to = by ? at + by : event.key === "Home" ? 0 : event.key === "End" ? items.length - 1 : at;
      if (at < 0 || to === at || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      items[(to + items.length) % items.length].focus();
    },
  };
}

/** @param {{label: string, class: string, children?: unknown}} properties */
export function Toolbar({ label, class: kind, children }) {
  return html`<div class=${kind} role="toolbar" aria-label=${label} ...${useOneStop()}>${children}</div>`;
}
