// Jobs: trainings and exports that go on when the page is closed, each as a row with how far it is and what can be done.
// @ts-check
import { post } from "./api.js";
import { html } from "./html.js";
import { followLink } from "./route.js";
import { loadProject, sayError } from "./store.js";
import { _, ngettext, percent } from "./translation.js";

/** @typedef {import("./store.js").Job} Job */

/** What people call a recipe. @param {string} recipe */
export function recipeName(recipe) {
  return { transfer: _("Pretrained network"), finetune: _("Fine-tuning"), scratch: _("From scratch"), classic: _("Classic") }[recipe] ?? recipe;
}

/** @param {string} state */
function stateName(state) {
  return { running: _("runs"), paused: _("paused"), done: _("done"), failed: _("failed"), interrupted: _("interrupted") }[state] ?? state;
}

/** @param {Job} job */
const nameOf = (job) => (job.kind === "export" ? _("Export to {target}", { target: job.target ?? "" }) : recipeName(job.recipe ?? ""));

/** How far a job is, in words. @param {Job} job */
function wordsOf(job) {
  if (job.message || job.state === "done") return job.message;
  if (job.state === "running" && job.stage) return `${job.stage} …`;
  if (job.state === "running" && job.progress === null) return _("Starting …");
  if (job.epoch === null || job.num_epochs === null) return "";
  const epoch = _("Epoch {epoch} of {num_epochs}", { epoch: job.epoch, num_epochs: job.num_epochs });
  if (job.seconds_left === null) return epoch;
  const minutes = Math.max(1, Math.round(job.seconds_left / 60));
  return `${epoch}, ${ngettext("about {num} minute left", "about {num} minutes left", minutes)}`;
}

/** Where what a finished job has made is to be had. @param {Job} job @returns {{href: string, text: string, isFile?: boolean}} */
function resultOf(job) {
  const run = encodeURIComponent(job.run_id);
  if (job.kind === "export") return { href: `/runs/${run}/exports/${encodeURIComponent(job.target ?? "")}.zip`, text: _("Download"), isFile: true };
  return { href: `/use?run=${run}`, text: _("See the result") };
}

/** @param {{jobs: Job[]}} properties */
export function JobList({ jobs }) {
  return html`<ul class="jobs">${jobs.map((job) => html`<${JobRow} key=${job.id} job=${job} />`)}</ul>`;
}

/** @param {{job: Job}} properties */
function JobRow({ job }) {
  const result = resultOf(job);
  /** @param {string} what */
  const tell = async (what) => {
    try {
      await post(`/api/jobs/${encodeURIComponent(job.id)}/${what}`, {});
      await loadProject();
    } catch (error) {
      sayError(error);
    }
  };
  const isDone = job.state === "done";
  const again = job.kind === "export" || job.state === "failed" ? _("Try again") : _("Continue");
  return html`<li class=${`job ${job.state}`}>
    <div><b>${nameOf(job)}</b> <span class="faint">${job.run}</span> <span class="tag">${stateName(job.state)}</span></div>
    ${!isDone && job.state !== "failed" && html`<div class="how-far"><progress max="1" value=${job.progress ?? undefined} aria-label=${_("How far: {name}", { name: nameOf(job) })}></progress>
      ${job.progress !== null && html`<span class="n">${percent(job.progress, 0)}</span>`}</div>`}
    <p class=${job.state === "failed" ? "problem-text" : "faint"}>${wordsOf(job)}</p>
    <div class="buttons">
      ${isDone && html`<a class="button" href=${result.href} download=${result.isFile} onClick=${result.isFile ? undefined : followLink}>${result.text}</a>`}
      ${job.can_resume && html`<button type="button" onClick=${() => tell("resume")}>${again}</button>`}
      ${job.can_pause && html`<button type="button" onClick=${() => tell("pause")}>${_("Pause")}</button>`}
      <button type="button" onClick=${() => tell("cancel")}>${isDone ? _("Remove from the list") : _("Cancel")}</button>
    </div>
  </li>`;
}
