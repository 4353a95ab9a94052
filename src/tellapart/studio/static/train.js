// Train: how good the model is, and the other recipes, each as a job that goes on when this page is closed.
// @ts-check
import { post } from "./api.js";
import { Bar, Figure } from "./figure.js";
import { html } from "./html.js";
import { followLink } from "./route.js";
import { classes, loadProject, project, sayError } from "./store.js";
import { _, ngettext, percent } from "./translation.js";
import { useState } from "./vendor/hooks.js";

const USUAL_MINUTES = 15;

/** What people call a recipe. @param {string} recipe */
export function recipeName(recipe) {
  return { transfer: _("Pretrained network"), finetune: _("Fine-tuning"), scratch: _("From scratch"), classic: _("Classic") }[recipe] ?? recipe;
}

/** @param {string} recipe */
function recipeSentence(recipe) {
  return {
    transfer: _("The usual way, and the one that runs by itself here. This run checks the photos too and writes a full report."),
    finetune: _("Trains the pretrained network further on your photos. Better for fine differences, slower."),
    scratch: _("A network trained on your photos alone. For images unlike everyday photos, such as microscopes or drawings."),
    classic: _("The small network of the well-known tutorial, for comparison."),
  }[recipe] ?? "";
}

/** @param {string} state */
function stateName(state) {
  return { running: _("runs"), paused: _("paused"), done: _("done"), failed: _("failed"), interrupted: _("interrupted") }[state] ?? state;
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
    ${shown.jobs.length > 0 && html`<section><h2>${_("Trainings")}</h2>
      <p class="faint">${_("Trainings go on when you close this page.")}</p>
      <ul class="jobs">${shown.jobs.map((/** @type {any} */ job) => html`<${JobRow} key=${job.id} job=${job} />`)}</ul></section>`}
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

/** How far a training is, in words. @param {import("./store.js").Job} job */
function wordsOf(job) {
  if (job.message) return job.message;
  if (job.epoch === null || job.num_epochs === null) return "";
  const epoch = _("Epoch {epoch} of {num_epochs}", { epoch: job.epoch, num_epochs: job.num_epochs });
  if (job.seconds_left === null) return epoch;
  const minutes = Math.max(1, Math.round(job.seconds_left / 60));
  return `${epoch}, ${ngettext("about {num} minute left", "about {num} minutes left", minutes)}`;
}

/** @param {{job: import("./store.js").Job}} properties */
function JobRow({ job }) {
  /** @param {string} what */
  const tell = async (what) => {
    try {
      await post(`/api/jobs/${encodeURIComponent(job.id)}/${what}`, {});
      await loadProject();
    } catch (error) {
      sayError(error);
    }
  };
  return html`<li class=${`job ${job.state}`}>
    <div><b>${recipeName(job.recipe)}</b> <span class="tag">${stateName(job.state)}</span> <span class=${job.state === "failed" ? "problem-text" : "faint"}>${wordsOf(job)}</span></div>
    ${job.state === "done"
      ? html`<a class="button" href="/use" onClick=${followLink}>${_("See the result")}</a>`
      : html`<progress max="1" value=${job.progress ?? undefined} aria-label=${_("How far the training is")}></progress>
          <span class="n">${job.progress === null ? "" : percent(job.progress, 0)}</span>
          <div class="buttons">
            ${job.can_resume && html`<button type="button" onClick=${() => tell("resume")}>${_("Continue")}</button>`}
            ${job.can_pause && html`<button type="button" onClick=${() => tell("pause")}>${_("Pause")}</button>`}
            <button type="button" onClick=${() => tell("cancel")}>${_("Cancel")}</button>
          </div>`}
  </li>`;
}
