// The ways in for photos: the camera, files, folders, a phone. They go into the class that is shown.
// @ts-check
import { Camera, cameras } from "./camera.js";
import { html, withCode } from "./html.js";
import { project, say } from "./store.js";
import { Toolbar } from "./toolbar.js";
import { _, ngettext } from "./translation.js";
import { filesOf, newBurst, upload } from "./uploads.js";
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { signal } from "./vendor/signals.js";

// Between two frames of a recording; more are hardly different from each other.
const FRAME_MS = 125;

export const isRecorderOpen = signal(false);
export const isPhoneOpen = signal(false);

/** @param {{to: string}} properties to: id of a class, or "unsorted" */
export function AddButtons({ to }) {
  /** @param {Event} event */
  const onFiles = (event) => {
    const input = /** @type {HTMLInputElement} */ (event.currentTarget);
    upload(filesOf(input.files ?? []), to);
    input.value = "";
  };
  return html`<${Toolbar} class="buttons" label=${_("Add photos")}>
    <button type="button" class="main" aria-pressed=${isRecorderOpen.value ? "true" : "false"}
      onClick=${() => (isRecorderOpen.value = !isRecorderOpen.value)}>${_("Camera")}</button>
    <label class="button">${_("Add photos")}
      <input type="file" multiple accept="image/*,.heic,.heif,.avif,.tif,.tiff,.zip" onChange=${onFiles} /></label>
    <label class="button wide-only">${_("Add a folder")} <input type="file" webkitdirectory onChange=${onFiles} /></label>
    <button type="button" class="wide-only" aria-expanded=${isPhoneOpen.value ? "true" : "false"}
      onClick=${() => (isPhoneOpen.value = !isPhoneOpen.value)}>${_("Use a phone")}</button>
  <//>`;
}

/** The address for a phone, as a picture to point its camera at. */
export function PhonePanel() {
  if (!isPhoneOpen.value) return null;
  const lan = project.value?.lan;
  return html`<div class="panel phone">
    ${lan
      ? html`<img class="qr" src=${`data:image/svg+xml;utf8,${encodeURIComponent(lan.qr_svg)}`} alt=${_("QR code of the address for a phone")} />
          <div><p>${_("Point the camera of a phone in the same network at this code. The phone can only add photos.")}</p>
          <p class="faint">${lan.address}</p></div>`
      : html`<p>${withCode(_("Start Studio with `tellapart studio --lan` to add photos from a phone in the same network."))}</p>`}
  </div>`;
}

/** The camera: hold the button, and every frame goes into the class. @param {{to: string, name: string}} properties */
export function Recorder({ to, name }) {
  const video = useRef(/** @type {HTMLVideoElement | null} */ (null));
  const camera = useRef(/** @type {Camera | null} */ (null));
  const isHeld = useRef(false);
  const [device, setDevice] = useState("");
  const [isReady, setReady] = useState(false);
  const [num, setNum] = useState(0);

  useEffect(() => {
    const one = new Camera(/** @type {HTMLVideoElement} */ (video.current));
    camera.current = one;
    let isGone = false;
    const onError = (/** @type {Error} */ error) => {
      if (isGone) return;
      isRecorderOpen.value = false;
      say(error.message, true);
    };
    one.open(device, onError).then(() => (isGone ? one.close() : setReady(true)), onError);
    return () => {
      isGone = true;
      isHeld.current = false;
      setReady(false);
      one.close();
    };
  }, [device]);

  const record = async () => {
    if (isHeld.current || !camera.current?.isOpen) return;
    isHeld.current = true;
    const burst = newBurst();
    for (let frame = 1; isHeld.current; frame++) {
      const file = await camera.current.frame();
      const pause = new Promise((resolve) => setTimeout(resolve, FRAME_MS));
      if (file) {
        upload([{ file, name: `camera-${burst.slice(0, 6)}-${String(frame).padStart(3, "0")}.jpg`, folder: "", burst }], to);
        setNum(frame);
      }
      await pause;
    }
  };
  const stop = () => (isHeld.current = false);
  /** @param {KeyboardEvent} event */
  const onKeyDown = (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    if (!event.repeat) record();
  };

  return html`<div class="panel recorder">
    <div class="square"><video ref=${video} playsinline muted aria-label=${_("What the camera shows")}></video></div>
    <div class="beside">
      ${cameras.value.length > 1 &&
      html`<label class="field">${_("Which camera")}
        <select value=${device} onChange=${(/** @type {any} */ event) => setDevice(event.currentTarget.value)}>
          ${cameras.value.map((one, place) => html`<option value=${one.deviceId}>${one.label || _("Camera {num}", { num: place + 1 })}</option>`)}
        </select></label>`}
      <button type="button" class="main record" disabled=${!isReady} onPointerDown=${record} onPointerUp=${stop} onPointerLeave=${stop}
        onPointerCancel=${stop} onKeyDown=${onKeyDown} onKeyUp=${stop} onBlur=${stop}
        onContextMenu=${(/** @type {Event} */ event) => event.preventDefault()}>${_("Hold to record")}</button>
      <p class="faint" aria-live="polite">${num ? ngettext("{num} photo in this recording", "{num} photos in this recording", num) : _("Photos go into {name}. Move the object while you record.", { name })}</p>
      <button type="button" onClick=${() => (isRecorderOpen.value = false)}>${_("Close the camera")}</button>
    </div>
  </div>`;
}
