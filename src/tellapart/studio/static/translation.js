// The sentences of the page in its language. They are English here; the shell brings those of another language.
// @ts-check

/** @type {Record<string, string>} */
const texts = JSON.parse(document.getElementById("texts")?.textContent || "{}");
const numbers = new Intl.NumberFormat(document.documentElement.lang);

/**
 * The text with `{name}` replaced by `values.name`.
 * @param {string} text
 * @param {Record<string, string | number>} values
 */
const filled = (text, values) =>
  text.replace(/\{(\w+)\}/g, (field, name) => {
    const value = values[name];
    return value === undefined ? field : typeof value === "number" ? numbers.format(value) : value;
  });

/**
 * The sentence in the language of the page.
 * @param {string} message in English
 * @param {Record<string, string | number>} [values]
 */
export const _ = (message, values = {}) => filled(texts[message] || message, values);

/**
 * The form of the sentence that goes with the number, which it has as `{num}`.
 * @param {string} singular
 * @param {string} plural
 * @param {number} num
 * @param {Record<string, string | number>} [values]
 */
export const ngettext = (singular, plural, num, values = {}) =>
  filled(texts[singular] || (num === 1 ? singular : plural), { num, ...values });

/**
 * A share as a person reads it: one decimal only where many photos stand behind it, never 100% for what is below 1.
 * @param {number} share from 0 to 1
 * @param {number} [decimals]
 */
export function percent(share, decimals = 1) {
  const steps = 10 ** (decimals + 2);
  const shown = share < 1 ? Math.min(Math.round(share * steps), steps - 1) : steps;
  return `${(shown / 10 ** decimals).toFixed(decimals)}%`;
}
