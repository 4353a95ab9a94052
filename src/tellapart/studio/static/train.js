// Train: how good the model is, and the other recipes, each as a job that goes on when this page is closed.
// @ts-check
import { post } from "./api.js";
import { Bar, Figure } from "./figure.js";
import { html } from "./html.js";
import { JobList, recipeName } from "./jobs.js";
import { followLink } from "./route.js";
import { classes, loadProject, project, sayError } from "./store.js";
import { _, ngettext } from "./translation.js";
import { useState } from "./vendor/hooks.js";

const USUAL_MINUTES = 15;

/** @param {string} recipe */
function recipeSentence(recipe) {
  return {
    transfer: _("The usual way, and the one that runs by itself here. This run checks the photos too and writes a full report."),
    finetune: _("Trains the pretrained network further on your photos. Better for fine differences, slower."),
    scratch: _("A network trained on your photos alone. For images unlike everyday photos, such as microscopes or drawings."),
    classic: _("The small network of the well-known tutorial, for comparison."),
  }[recipe] ?? "";
}

export function Train() {
  const shown = project.value;
  if (!shown) return null;
  return html`<div class="reading">
    <h1>${_("Train")}</h1>
    <${Figure} model=${shown.model} isLarge />
    ${shown.model?.accuracy != null && html`<p class="buttons"><a class="button main" href="/try" onClick=${followLink}>${_("Try the model")}</a>
      <a class="button" href="/check" onClick=${followLink}>${_("Check the photos")}</a></p>`}
    <${Counts} />
    ${shown.jobs.length > 0 && html`<section><h2>${_("Trainings and exports")}</h2>
      <p class="faint">${_("They go on when you close this page.")}</p>
      <${JobList} jobs=${shown.jobs} /></section>`}
    <section><h2>${_("Other ways to train")}</h2>
      <div class="recipes">${(shown.recipes ?? []).map((/** @type {string} */ recipe) => html`<${Recipe} key=${recipe} recipe=${recipe} />`)}</div></section>
  </div>`;
}

/** How many photos each class has; a class with few is what to photograph next. */
function Counts() {
  const most = Math.max(1, ...classes().map((one) => one.num_photos));
  if (!classes().length) return null;
  return html`<section><h2>${_("Photos of each class")}</h2><ul class="bars">
    ${classes().map((one) => html`<li key=${one.id}><bdi>${one.name}</bdi><span class="n">${ngettext("{num} photo", "{num} photos", one.num_photos)}</span>
      <${Bar} name=${one.name} share=${one.num_photos / most} color=${one.color_index} /></li>`)}
  </ul></section>`;
}

/** @param {{recipe: string}} properties */
function Recipe({ recipe }) {
  const [minutes, setMinutes] = useState(USUAL_MINUTES);
  const isTimed = ["scratch", "finetune"].includes(recipe);
  const start = async () => {
    try {
      await post("/api/jobs", isTimed ? { recipe, minutes } : { recipe });
      await loadProject();
    } catch (error) {
      sayError(error);
    }
  };
  return html`<div class="card"><h3>${recipeName(recipe)}</h3><p class="faint">${recipeSentence(recipe)}</p>
    <div class="buttons">
      ${isTimed && html`<label class="inline">${_("Minutes")} <input type="number" min="1" max="10000" value=${minutes} onInput=${(/** @type {any} */ event) => setMinutes(Math.max(1, event.currentTarget.valueAsNumber || 1))} /></label>`}
      <button type="button" onClick=${start} aria-label=${_("Start: {recipe}", { recipe: recipeName(recipe) })}>${_("Start")}</button>
    </div></div>`;
}

