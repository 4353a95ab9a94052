// Markup for Preact without a build step: html`<b>${text}</b>` makes elements, and what is put in is always text.
// @ts-check
import htm from "./vendor/htm.js";
import { h } from "./vendor/preact.js";

export const html = htm.bind(h);

/** A sentence whose commands are in backticks, with these set as code. @param {string} text */
export const withCode = (text) => text.split("`").map((part, place) => (place % 2 ? html`<code>${part}</code>` : part));
