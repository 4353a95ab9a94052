// Try: what the model says of what the camera sees, of a dropped, pasted or chosen photo. One frame is on its way at a
// time, and the next is taken when its answer is here: nothing queues.
// @ts-check
import { ApiError, send } from "./api.js";
import { Camera, cameras } from "./camera.js";
import { Bar } from "./figure.js";
import { html } from "./html.js";
import { classes, project, say, sayError } from "./store.js";
import { _, percent } from "./translation.js";
import { upload } from "./uploads.js";
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { signal } from "./vendor/signals.js";

const MOST_BARS = 10;
const PAUSE_AFTER_ERROR_MS = 1000;

/** The photo that was dropped, pasted or chosen last. @type {import("./vendor/signals.js").Signal<File | null>} */
export const tried = signal(null);

/**
 * @typedef {{answer: string, class: string | null, probability: number | null, nearest_class: string, probabilities: Record<string, number>, heatmap?: string | null, provisional: boolean}} Answer
 */

export function Try() {
  const video = useRef(/** @type {HTMLVideoElement | null} */ (null));
  const camera = useRef(/** @type {Camera | null} */ (null));
  const frame = useRef(/** @type {Blob | null} */ (null));
  const withHeat = useRef(false);
  const [isLive, setLive] = useState(false);
  const [isWarm, setWarm] = useState(false);
  const [device, setDevice] = useState("");
  const [answer, setAnswer] = useState(/** @type {Answer | null} */ (null));
  const [problem, setProblem] = useState("");
  const [picture, setPicture] = useState("");
  withHeat.current = isWarm;

  /** Asks about a photo; false where that failed. @param {Blob} photo @param {() => boolean} isWanted */
  const askAbout = async (photo, isWanted) => {
    try {
      const given = await send(`/api/try${withHeat.current ? "?heatmap=1" : ""}`, photo);
      if (!isWanted()) return true;
      frame.current = photo;
      setAnswer(given);
      setProblem("");
      return true;
    } catch (error) {
      if (!isWanted()) return true;
      if (error instanceof ApiError && error.status === 401) sayError(error);
      setProblem(error instanceof Error ? error.message : String(error));
      return false;
    }
  };

  useEffect(() => {
    if (!isLive) return;
    let isWanted = true;
    const one = new Camera(/** @type {HTMLVideoElement} */ (video.current));
    camera.current = one;
    const onError = (/** @type {Error} */ error) => {
      if (!isWanted) return;
      setLive(false);
      say(error.message, true);
    };
    const run = async () => {
      await one.open(device, onError);
      while (isWanted) {
        const photo = await one.frame();
        const isFine = photo ? await askAbout(photo, () => isWanted) : true;
        if (!photo) await new Promise(requestAnimationFrame);
        if (!isFine) await new Promise((resolve) => setTimeout(resolve, PAUSE_AFTER_ERROR_MS));
      }
    };
    run().catch(onError);
    return () => {
      isWanted = false;
      one.close();
    };
  }, [isLive, device]);

  useEffect(() => {
    const photo = tried.value;
    if (!photo) return;
    setLive(false);
    const address = URL.createObjectURL(photo);
    setPicture(address);
    setAnswer(null);
    askAbout(photo, () => tried.value === photo);
    return () => URL.revokeObjectURL(address);
  }, [tried.value]);

  useEffect(() => {
    if (!isLive && tried.value) askAbout(tried.value, () => true);
  }, [isWarm]);

  /** @param {any} event */
  const onWrong = async (event) => {
    const to = event.currentTarget.value;
    event.currentTarget.value = "";
    const photo = frame.current;
    if (!to || !photo) return;
    const name = photo instanceof File ? photo.name : `camera-${Date.now()}.jpg`;
    await upload([{ file: photo, name, folder: "" }], to);
  };
  const hasModel = project.value?.model?.accuracy != null || answer;

  return html`<div class="try">
    <section class="looking drop">
      <div class="square">
        <video ref=${video} playsinline muted hidden=${!isLive} aria-label=${_("What the camera shows")}></video>
        ${!isLive && picture && html`<img class="photo" src=${picture} alt=${tried.value?.name ?? ""} />`}
        ${!isLive && !picture && html`<p class="faint">${_("Drop a photo here, or paste one.")}</p>`}
        ${answer?.heatmap && isWarm && html`<img class="heat" src=${`data:image/png;base64,${answer.heatmap}`} alt="" />`}
      </div>
      <div class="buttons">
        <button type="button" class="main" aria-pressed=${isLive ? "true" : "false"} onClick=${() => setLive(!isLive)}>${isLive ? _("Stop the camera") : _("Start the camera")}</button>
        <label class="button">${_("Choose a photo")} <input type="file" accept="image/*,.heic,.heif,.avif,.tif,.tiff"
          onChange=${(/** @type {any} */ event) => (tried.value = event.currentTarget.files[0] ?? null)} /></label>
        <label class="inline"><input type="checkbox" checked=${isWarm} onChange=${(/** @type {any} */ event) => setWarm(event.currentTarget.checked)} /> ${_("Show where the model looks")}</label>
        ${isLive && cameras.value.length > 1 && html`<select aria-label=${_("Which camera")} value=${device} onChange=${(/** @type {any} */ event) => setDevice(event.currentTarget.value)}>
          ${cameras.value.map((one, place) => html`<option value=${one.deviceId}>${one.label || _("Camera {num}", { num: place + 1 })}</option>`)}</select>`}
      </div>
    </section>
    <section class="answer">
      <h1>${_("Try")}</h1>
      ${!hasModel && html`<p class="faint">${_("There is no model yet. Give two classes a few photos each.")}</p>`}
      ${problem && html`<p class="problem-text" role="alert">${problem}</p>`}
      ${answer && html`<${Bars} answer=${answer} />
        <label class="field wrong">${_("Wrong? It is …")}
          <select value="" onChange=${onWrong}><option value="">${_("Choose the class")}</option>
            ${classes().map((one) => html`<option value=${one.id}>${one.name}</option>`)}</select></label>
        <p class="faint small">${_("The photo is added to that class, and the model learns from it.")}</p>`}
    </section>
  </div>`;
}

/** What the model says where it names no class. @param {string} answer */
const doubtOf = (answer) => ({ "not sure": _("not sure"), "none of these": _("none of these") })[answer] ?? answer;

/** @param {{answer: Answer}} properties */
function Bars({ answer }) {
  const sorted = Object.entries(answer.probabilities).sort((one, other) => other[1] - one[1]).slice(0, MOST_BARS);
  const colors = new Map(classes().map((one) => [one.name, one.color_index]));
  return html`<p class=${answer.class === null ? "verdict unsure" : "verdict"} aria-live="polite">
      ${answer.class === null ? doubtOf(answer.answer) : html`<bdi>${answer.answer}</bdi>`}
      ${answer.provisional && html` <span class="tag">${_("provisional")}</span>`}</p>
    ${answer.class === null && html`<p class="faint">${_("The model does not answer here. Its nearest class is {name}.", { name: answer.nearest_class })}</p>`}
    <ul class="bars">${sorted.map(([name, probability]) => html`<li key=${name}><bdi>${name}</bdi><span class="n">${percent(probability)}</span>
      <${Bar} name=${name} share=${probability} color=${colors.get(name) ?? 0} /></li>`)}</ul>`;
}
