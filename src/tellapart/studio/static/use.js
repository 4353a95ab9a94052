// Use: the runs with their verdict and report, how programs ask a model, and two runs side by side.
// @ts-check
import { ask, post } from "./api.js";
import { html } from "./html.js";
import { JobList, recipeName } from "./jobs.js";
import { go, query } from "./route.js";
import { project, loadProject, say, sayError } from "./store.js";
import { _, ngettext, percent } from "./translation.js";
import { useEffect, useState } from "./vendor/hooks.js";

/** @typedef {{id: string, name: string, recipe: string, when: string, num_photos: number, verdict: string, verdict_word: string, verdict_advice: string, verdict_sentence: string, accuracy: number | null, interval: [number, number] | null, report: string}} Run */

export function Use() {
  const [runs, setRuns] = useState(/** @type {Run[] | null} */ (null));
  useEffect(() => {
    ask("/api/runs").then(setRuns, sayError);
  }, [project.value?.revision, project.value?.jobs?.map((/** @type {any} */ job) => job.state).join(), project.value?.model?.state]);
  if (!runs) return html`<div class="reading"><h1>${_("Use")}</h1></div>`;
  const run = runs.find((one) => one.id === query.value.get("run")) ?? runs[0];
  if (!run) return html`<div class="reading"><h1>${_("Use")}</h1><p class="lead">${_("There is no model to use yet. It appears here a few seconds after the last photo.")}</p></div>`;
  return html`<div class="reading use">
    <h1>${_("Use")}</h1>
    ${runs.length > 1 && html`<label class="field">${_("Model")} <select value=${run.id} onChange=${(/** @type {any} */ event) => go(`/use?run=${encodeURIComponent(event.currentTarget.value)}`, true)}>
      ${runs.map((one) => html`<option value=${one.id}>${nameOf(one)}</option>`)}</select></label>`}
    <${Verdict} run=${run} />
    <${Calling} run=${run} />
    <${Exports} key=${run.id} run=${run} />
    ${runs.length > 1 && html`<${Comparison} runs=${runs} run=${run} />`}
    <section><h2>${_("Report")}</h2>
      <p><a href=${run.report} target="_blank" rel="noopener">${_("Open the report in a tab of its own")}</a></p>
      <iframe class="report" src=${run.report} title=${_("Report")} sandbox="allow-scripts" loading="lazy"></iframe></section>
  </div>`;
}

/** @param {Run} run */
const nameOf = (run) => `${run.name} · ${recipeName(run.recipe)} · ${new Date(run.when).toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" })}`;

/** @param {{run: Run}} properties */
function Verdict({ run }) {
  const light = ["green", "amber", "red"].includes(run.verdict) ? run.verdict : "amber";
  const read = (/** @type {number} */ share) => percent(share, run.num_photos > 200 ? 1 : 0);
  return html`<div class=${`verdict-card ${light}`}>
    <p class="large-text"><span class="light" aria-hidden="true"></span>${run.verdict_word && html`<strong>${run.verdict_word}.</strong> ${run.verdict_advice}`}</p>
    <p>${run.verdict_sentence}</p>
    ${run.accuracy !== null && html`<p class="faint">${run.interval
      ? _("Accuracy {accuracy} (95% interval: {low} to {high})", { accuracy: read(run.accuracy), low: read(run.interval[0]), high: read(run.interval[1]) })
      : _("Accuracy {accuracy}", { accuracy: read(run.accuracy) })}</p>`}
  </div>`;
}

/** @param {{run: Run}} properties */
function Calling({ run }) {
  const served = project.value.served?.run === run.id ? project.value.served : null;
  const [kind, setKind] = useState("curl");
  const address = served?.address ?? "http://127.0.0.1:8000";
  const codes = {
    curl: `curl --data-binary @photo.jpg '${address}/predict'`,
    Python: `from urllib.request import urlopen\nimport json\n\nwith open("photo.jpg", "rb") as photo:\n    answer = json.load(urlopen("${address}/predict", photo.read()))\nprint(answer["answer"], answer["probability"])`,
    JavaScript: `const response = await fetch("${address}/predict", { method: "POST", body: photo });\nconst answer = await response.json();\nconsole.log(answer.answer, answer.probability);`,
  };
  const code = codes[/** @type {keyof typeof codes} */ (kind)];
  const [isBusy, setBusy] = useState(false);
  // Another model may be served now; this one then takes its place.
  const toggle = async () => {
    setBusy(true);
    try {
      await post("/api/serve", { run: run.id, on: !served });
      await loadProject();
    } catch (error) {
      sayError(error);
    }
    setBusy(false);
  };
  const copy = async () => {
    await navigator.clipboard.writeText(code).then(() => say(_("Copied.")), sayError);
  };
  return html`<section><h2>${_("From other programs")}</h2>
    <p>${served ? _("This model answers at {address}, on this machine only.", { address }) : _("This model does not answer other programs now.")}</p>
    <div class="buttons"><button type="button" class=${served ? "" : "main"} aria-busy=${isBusy ? "true" : "false"} disabled=${isBusy} onClick=${toggle}>${isBusy ? _("One moment …") : served ? _("Stop serving") : _("Serve this model")}</button></div>
    <div class="tabs" role="group" aria-label=${_("Language of the example")}>${Object.keys(codes).map((one) => html`<button type="button" key=${one} aria-pressed=${one === kind ? "true" : "false"} onClick=${() => setKind(one)}>${one}</button>`)}
      <button type="button" class="copy" onClick=${copy}>${_("Copy")}</button></div>
    <pre tabindex="0"><code>${code}</code></pre></section>`;
}

/** What a target is for. @param {string} target */
function targetSentence(target) {
  return {
    openvino: _("Intel machines"), keras: _("Keras and TensorFlow programs"), coreml: _("iPhone, iPad and Mac"), triton: _("Triton servers"),
    "onnx-int8": _("small and quick, for ONNX Runtime"), litert: _("Android and small boards"), "litert-int8": _("Android and small boards, small and quick"),
    web: _("a web page that works offline"), "web-int8": _("a web page that works offline, small and quick"),
  }[target] ?? "";
}

/** @param {{run: Run}} properties */
function Exports({ run }) {
  const shown = project.value;
  const [target, setTarget] = useState(/** @type {string} */ (shown.exports[0] ?? ""));
  if (!shown.exports.length) return null;
  const jobs = shown.jobs.filter((/** @type {import("./store.js").Job} */ job) => job.kind === "export" && job.run_id === run.id);
  const make = async () => {
    try {
      await post("/api/exports", { run: run.id, target });
      await loadProject();
    } catch (error) {
      sayError(error);
    }
  };
  return html`<section><h2>${_("For other devices")}</h2>
    <div class="buttons"><select aria-label=${_("What to export to")} value=${target} onChange=${(/** @type {any} */ event) => setTarget(event.currentTarget.value)}>
      ${shown.exports.map((/** @type {string} */ one) => html`<option key=${one} value=${one}>${one}: ${targetSentence(one)}</option>`)}</select>
      <button type="button" onClick=${make}>${_("Export")}</button></div>
    ${jobs.length > 0 && html`<${JobList} jobs=${jobs} />`}</section>`;
}

/** @param {{runs: Run[], run: Run}} properties */
function Comparison({ runs, run }) {
  const others = runs.filter((one) => one.id !== run.id);
  const [other, setOther] = useState("");
  const [result, setResult] = useState(/** @type {any} */ (null));
  useEffect(() => {
    setResult(null);
    if (other && other !== run.id) ask(`/api/runs/${encodeURIComponent(run.id)}/compare/${encodeURIComponent(other)}`).then(setResult, sayError);
  }, [other, run.id]);
  return html`<section class="comparison"><h2>${_("Compare with another model")}</h2>
    <label class="field">${_("Other model")} <select value=${other} onChange=${(/** @type {any} */ event) => setOther(event.currentTarget.value)}>
      <option value="">${_("Choose a model")}</option>${others.map((one) => html`<option value=${one.id}>${nameOf(one)}</option>`)}</select></label>
    ${result && html`<p aria-live="polite">${result.sentence}</p>
      ${result.photos.length > 0 && html`<h3>${ngettext("{num} photo with different answers", "{num} photos with different answers", result.photos.length)}</h3>
        <div class="groups">${result.photos.slice(0, 60).map((/** @type {any} */ photo) => html`<figure class="shot" key=${photo.digest ?? photo.name}>
          ${photo.digest && html`<img src=${`/thumb/${photo.digest}.webp`} alt=${photo.name} loading="lazy" />`}
          <figcaption><b>${_("Class: {name}", { name: photo.class })}</b>
            ${photo.answers.map((/** @type {string} */ answer, /** @type {number} */ place) => html`<span class=${photo.right[place] ? "" : "problem-text"}>${place ? _("Other: {answer}", { answer }) : _("This: {answer}", { answer })}</span>`)}</figcaption></figure>`)}</div>`}`}
  </section>`;
}
