// What an empty folder shows: one sentence, two classes to name, the camera, and a place to drop photos.
// @ts-check
import { isRecorderOpen } from "./adding.js";
import { html } from "./html.js";
import { go } from "./route.js";
import { classes, command } from "./store.js";
import { _ } from "./translation.js";
import { filesOf, upload } from "./uploads.js";
import { useRef, useState } from "./vendor/hooks.js";

export function Beginning() {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const [names, setNames] = useState(["", ""]);

  /** Makes the classes that have a name; with `isAll` also those that have none. @param {boolean} isAll */
  const make = async (isAll) => {
    const there = classes().length;
    for (const place of [0, 1]) {
      if (place < there) continue;
      const name = names[place].trim() || (isAll ? _("Class {num}", { num: place + 1 }) : "");
      if (!name || !(await command({ do: "add_class", name }))) return;
    }
  };
  /** @param {Event} event */
  const onSubmit = async (event) => {
    event.preventDefault();
    const empty = names.findIndex((name, place) => place >= classes().length && !name.trim());
    if (empty >= 0) /** @type {HTMLElement | null} */ (box.current?.querySelector(`#name-${empty}`))?.focus();
    else await make(false);
  };
  const onCamera = async () => {
    await make(true);
    isRecorderOpen.value = true;
    if (classes()[0]) go(`/collect?class=${encodeURIComponent(classes()[0].id)}`);
  };
  /** @param {any} event */
  const onFiles = async (event) => upload(filesOf(event.currentTarget.files ?? []), classes()[0]?.id ?? "unsorted");

  return html`<div class="beginning" ref=${box}>
    <h1>${_("Name two classes, then give each about ten photos.")}</h1>
    <form class="cards" onSubmit=${onSubmit}>
      ${[0, 1].map((place) => {
        const made = classes()[place];
        return html`<div class=${`first-card color-${place}`} key=${place}>
          <label for=${`name-${place}`}><span class="dot" aria-hidden="true"></span>${_("Class {num}", { num: place + 1 })}</label>
          ${made
            ? html`<p class="large-text"><bdi>${made.name}</bdi></p>`
            : html`<input id=${`name-${place}`} value=${names[place]} autocomplete="off" placeholder=${place ? _("for example dog") : _("for example cat")}
                onInput=${(/** @type {any} */ event) => setNames(names.map((name, at) => (at === place ? event.currentTarget.value : name)))} />`}
        </div>`;
      })}
      <button class="main">${_("Make the classes")}</button>
    </form>
    <div class="empty drop">
      <p class="large-text">${_("Drop photos, folders or a zip here.")}</p>
      <p class="faint">${_("A folder becomes a class of its name. Your own files stay as they are.")}</p>
      <div class="buttons">
        <button type="button" onClick=${onCamera}>${_("Use the camera")}</button>
        <label class="button">${_("Choose photos")} <input type="file" multiple accept="image/*,.heic,.heif,.avif,.tif,.tiff,.zip" onChange=${onFiles} /></label>
        <label class="button wide-only">${_("Choose a folder")} <input type="file" webkitdirectory onChange=${onFiles} /></label>
      </div>
    </div>
  </div>`;
}
