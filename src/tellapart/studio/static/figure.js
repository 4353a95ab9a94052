// How often the model is right, as far as is known by now.
// @ts-check
import { html } from "./html.js";
import { _, ngettext, percent } from "./translation.js";

/** @param {{model: import("./store.js").Model | null, isLarge?: boolean}} properties */
export function Figure({ model, isLarge }) {
  const accuracy = model?.accuracy ?? null;
  const isBusy = model && ["fitting", "choosing"].includes(model.state);
  return html`<div class=${`figure${isLarge ? " large-figure" : ""}`} aria-live="polite">
    ${model && accuracy !== null
      ? html`<p class="value">${percent(accuracy, model.num_photos > 200 ? 1 : 0)}
            ${model.is_provisional ? html`<span class="tag">${_("provisional")}</span>` : null}</p>
          ${model.interval && html`<${Interval} interval=${model.interval} accuracy=${accuracy} />`}
          <p class="faint">${model.is_provisional
            ? ngettext("Right this often on {num} photo, by a quick test.", "Right this often on {num} photos, by a quick test.", model.num_photos)
            : ngettext("Right this often on {num} photo it was not trained on.", "Right this often on {num} photos it was not trained on.", model.num_photos)}</p>`
      : html`<p class="faint">${_("Training starts by itself once two classes have a few photos.")}</p>`}
    ${model?.message && !isBusy && html`<p class=${model.state === "failed" ? "problem-text" : "faint"}>${model.message}</p>`}
    ${isBusy && html`<p class="busy">${model.message || (model.state === "fitting" ? _("Learning …") : _("Testing the model by cross-validation …"))}</p>`}
  </div>`;
}

/** The interval as a line from 0 to 100%, with the figure on it. @param {{interval: [number, number], accuracy: number}} properties */
function Interval({ interval, accuracy }) {
  const [low, high] = interval;
  const text = _("95% interval: {low} to {high}", { low: percent(low, 0), high: percent(high, 0) });
  return html`<svg class="interval" viewBox="-4 0 208 12" role="img" aria-label=${text}>
      <line class="rail" x1="0" x2="200" y1="6" y2="6" />
      <line class="range" x1=${low * 200} x2=${high * 200} y1="6" y2="6" />
      <circle class="dot" cx=${accuracy * 200} cy="6" r="4" />
    </svg><p class="faint small">${text}</p>`;
}

/**
 * A share of a whole as a bar.
 * @param {{name: string, share: number, color: number}} properties share: from 0 to 1; color: of the class
 */
export function Bar({ name, share, color }) {
  return html`<div class=${`track color-${color % 8}`} role="meter" aria-label=${name} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(share * 100)}>
    <div class="fill" style=${{ width: `${share * 100}%` }}></div></div>`;
}
