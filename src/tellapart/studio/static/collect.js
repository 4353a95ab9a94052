// Collect: the classes, the photos of one of them or those without a class, and the keys that sort them.
// @ts-check
import { AddButtons, PhonePanel, Recorder, isRecorderOpen } from "./adding.js";
import { Classes } from "./classes.js";
import { Finder, LargeView } from "./dialogs.js";
import { Grid } from "./grid.js";
import { html } from "./html.js";
import { ClassHead } from "./class_head.js";
import { Beginning } from "./beginning.js";
import { bin, chosen, classOf, classes, command, cursor, label, photos, project, selection, undo } from "./store.js";
import { Toolbar } from "./toolbar.js";
import { _, ngettext, percent } from "./translation.js";
import { classNamed } from "./uploads.js";
import { useState } from "./vendor/hooks.js";

/** @typedef {import("./store.js").Photo} Photo */

/** The photos that the keys act on: the selected ones, else the one under the cursor. @returns {Photo[]} */
function meant() {
  const { list } = photos.value;
  if (selection.value.size) return list.filter((photo) => selection.value.has(photo.id));
  return list[cursor.value] ? [list[cursor.value]] : [];
}

const idsMeant = () => meant().map((photo) => photo.id);

/** Gives each photo the class that the model proposes for it; those without a proposal stay. */
async function accept() {
  /** @type {Map<string, string[]>} */
  const byClass = new Map();
  for (const photo of meant()) {
    if (photo.proposal) byClass.set(photo.proposal.class, [...(byClass.get(photo.proposal.class) ?? []), photo.id]);
  }
  for (const [classId, ids] of byClass) await label(ids, classId);
}

export function Collect() {
  const shown = project.value;
  const [typed, setTyped] = useState(/** @type {string | null} */ (null));
  const [isLarge, setLarge] = useState(false);
  if (!shown) return null;
  const hasPhotos = shown.num_unsorted > 0 || classes().some((one) => one.num_photos);
  if (classes().length < 2 && !hasPhotos) return html`<${Beginning} />`;

  const of = chosen.value;
  const list = photos.value.of === of ? photos.value.list : [];
  const name = classOf(of)?.name ?? (of === "bin" ? _("Bin") : _("Unsorted"));
  const to = classOf(of) ? of : "unsorted";

  /** @param {KeyboardEvent} event */
  const onKey = (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key !== "z") return;
    const place = /^[1-9]$/.test(event.key) ? Number(event.key) - 1 : -1;
    if (event.key === "z") undo();
    else if (event.key === "Enter") onEnter();
    else if (event.key === "Delete" || event.key === "Backspace") {
      if (of !== "bin" && idsMeant().length) bin(idsMeant());
    } else if (place >= 0) {
      if (classes()[place] && idsMeant().length) label(idsMeant(), classes()[place].id);
    } else if (event.key === "/" || (event.key.length === 1 && event.key.trim())) setTyped(event.key === "/" ? "" : event.key);
    else return;
    event.preventDefault();
  };
  const onEnter = () => {
    if (of === "unsorted") accept();
    else if (of === "bin") command({ do: "restore", photos: idsMeant() });
    else setLarge(list.length > 0);
  };
  /** @param {{id?: string, name: string}} found */
  const onFound = async (found) => {
    const ids = idsMeant();
    setTyped(null);
    const id = found.id ?? (await classNamed(found.name));
    if (id && ids.length) label(ids, id);
  };
  /** @param {number} by */
  const onMove = (by) => (cursor.value = Math.max(0, Math.min(cursor.value + by, list.length - 1)));

  return html`<div class="collect">
    <${Classes} />
    <section class="pane" aria-label=${name}>
      <${ClassHead} of=${of} name=${name} num=${list.length} />
      ${of !== "bin" && html`<${AddButtons} to=${to} />`}
      <${PhonePanel} />
      ${isRecorderOpen.value && of !== "bin" && html`<${Recorder} key=${to} to=${to} name=${name} />`}
      ${list.length ? html`<${Actions} of=${of} onAccept=${accept} onFind=${() => setTyped("")} onLarge=${() => setLarge(true)} />` : null}
      ${list.length
        ? html`<${Grid} key=${of} photos=${list} label=${_("Photos of {name}", { name })} hint=${of === "unsorted" ? hintOf : undefined}
            onOpen=${() => setLarge(true)} onKey=${onKey} />`
        : photos.value.of === of && html`<${Empty} of=${of} name=${name} />`}
    </section>
    ${typed !== null && html`<${Finder} typed=${typed} onFound=${onFound} onClose=${() => setTyped(null)} />`}
    ${isLarge && list[cursor.value] && html`<${LargeView} photo=${list[cursor.value]} onMove=${onMove} onClose=${() => setLarge(false)} />`}
  </div>`;
}

/** What the model proposes for a photo, on its tile. @param {Photo} photo */
function hintOf(photo) {
  const proposed = photo.proposal && classOf(photo.proposal.class);
  if (!proposed || !photo.proposal) return null;
  return { text: `${proposed.name} ${percent(photo.proposal.probability, 0)}`, color: proposed.color_index % 8 };
}

/** The keys as buttons, for a mouse or a finger. @param {{of: string, onAccept: () => void, onFind: () => void, onLarge: () => void}} properties */
function Actions({ of, onAccept, onFind, onLarge }) {
  const some = meant();
  const many = ngettext("{num} photo", "{num} photos", some.length);
  if (of === "bin") {
    return html`<div class="actions"><span class="faint">${many}</span>
      <button type="button" onClick=${() => command({ do: "restore", photos: idsMeant() })}>${_("Put back")} <kbd>Enter</kbd></button></div>`;
  }
  return html`<${Toolbar} class="actions" label=${_("For the selected photos")}>
    <span class="faint">${many}</span>
    ${of === "unsorted" && some.some((photo) => photo.proposal) && html`<button type="button" class="main" onClick=${onAccept}>${_("Accept")} <kbd>Enter</kbd></button>`}
    ${classes().slice(0, 9).map((one, place) => one.id !== of && html`<button type="button" key=${one.id} class=${`to-class color-${one.color_index % 8}`}
      onClick=${() => label(idsMeant(), one.id)}><span class="dot"></span>${one.name} <kbd>${place + 1}</kbd></button>`)}
    <button type="button" onClick=${onFind}>${_("Other class")} <kbd>/</kbd></button>
    <button type="button" onClick=${onLarge}>${_("Look closely")}</button>
    <button type="button" onClick=${() => bin(idsMeant())}>${_("To the bin")} <kbd>Del</kbd></button>
  <//>`;
}

/** @param {{of: string, name: string}} properties */
function Empty({ of, name }) {
  if (of === "bin") return html`<p class="empty">${_("The bin is empty.")}</p>`;
  const text = of === "unsorted" ? _("Drop photos here to sort them later.") : _("Drop photos of {name} here, or paste them.", { name });
  return html`<div class="empty drop"><p class="large-text">${text}</p>
    <p class="faint">${_("Folders and zips work too. A folder becomes a class of its name.")}</p></div>`;
}
