// The classes beside the photos, each a place to drop photos on, and how good the model is by now.
// @ts-check
import { html } from "./html.js";
import { Figure } from "./figure.js";
import { go } from "./route.js";
import { chosen, classes, command, project } from "./store.js";
import { useOneStop } from "./toolbar.js";
import { _, ngettext } from "./translation.js";
import { itemsOf, upload } from "./uploads.js";
import { followLink } from "./route.js";
import { useState } from "./vendor/hooks.js";

/** A target for files: what is dropped here goes into one class, whatever folder it comes from. @param {string} to */
export function dropTarget(to) {
  return {
    onDragOver: (/** @type {DragEvent} */ event) => {
      event.preventDefault();
      /** @type {Element} */ (event.currentTarget).classList.add("over");
    },
    onDragLeave: (/** @type {DragEvent} */ event) => /** @type {Element} */ (event.currentTarget).classList.remove("over"),
    onDrop: async (/** @type {DragEvent} */ event) => {
      event.preventDefault();
      event.stopPropagation();
      /** @type {Element} */ (event.currentTarget).classList.remove("over");
      if (event.dataTransfer) upload(await itemsOf(event.dataTransfer), to, true);
    },
  };
}

export function Classes() {
  const shown = project.value;
  return html`<nav class="classes" aria-label=${_("Classes")}>
    <ul ...${useOneStop()}>
      ${classes().map((one, place) => html`<li key=${one.id}><${Card} id=${one.id} name=${one.name} num=${one.num_photos} color=${one.color_index % 8} place=${place} /></li>`)}
      <li class="other"><${Card} id="unsorted" name=${_("Unsorted")} num=${shown.num_unsorted} /></li>
      <li class="other"><${Card} id="bin" name=${_("Bin")} num=${shown.num_bin ?? null} /></li>
    </ul>
    <${NewClass} />
    <${Figure} model=${shown.model} />
    ${shown.num_unseen > 0 && html`<p class="faint small busy">${ngettext("{num} photo is being read.", "{num} photos are being read.", shown.num_unseen)}</p>`}
    ${shown.problem && html`<p class="problem-text small">${shown.problem}</p>`}
    ${shown.num_skipped > 0 && html`<p class="faint small">${ngettext("{num} file of the folder cannot be used.", "{num} files of the folder cannot be used.", shown.num_skipped)}</p>`}
  </nav>`;
}

/** @param {{id: string, name: string, num: number | null, color?: number, place?: number}} properties */
function Card({ id, name, num, color, place }) {
  const isChosen = chosen.value === id;
  return html`<a class=${`class-card ${color === undefined ? "plain" : `color-${color}`}`} href=${`/collect?class=${encodeURIComponent(id)}`} onClick=${followLink}
    aria-current=${isChosen ? "true" : undefined} ...${id === "bin" ? {} : dropTarget(id)}>
    <span class="dot" aria-hidden="true"></span><bdi class="name">${name}</bdi>
    <span class="num">${num === null ? "" : ngettext("{num} photo", "{num} photos", num)}</span>
    ${place !== undefined && place < 9 && html`<kbd aria-hidden="true">${place + 1}</kbd>`}
  </a>`;
}

function NewClass() {
  const [name, setName] = useState("");
  /** @param {Event} event */
  const onSubmit = async (event) => {
    event.preventDefault();
    const wanted = name.trim();
    const answer = wanted && (await command({ do: "add_class", name: wanted }));
    if (!answer) return;
    setName("");
    go(`/collect?class=${encodeURIComponent(answer.class)}`);
  };
  return html`<form class="new-class" onSubmit=${onSubmit}>
    <input value=${name} onInput=${(/** @type {any} */ event) => setName(event.currentTarget.value)} placeholder=${_("New class")} aria-label=${_("Name of a new class")} autocomplete="off" />
    <button>${_("Add")}</button>
  </form>`;
}
