// What opens over the page: a search for a class, and a photo at a large size.
// @ts-check
import { ask } from "./api.js";
import { html } from "./html.js";
import { classes, sayError } from "./store.js";
import { _ } from "./translation.js";
import { useEffect, useRef, useState } from "./vendor/hooks.js";

/**
 * A modal dialog, which gives the focus back when it closes.
 * @param {{label: string, name: string, onClose: () => void, onKeyDown?: (event: KeyboardEvent) => void, children?: unknown}} properties
 */
export function Dialog({ label, name, onClose, onKeyDown, children }) {
  const box = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    box.current?.showModal();
    return () => before?.focus();
  }, []);
  /** @param {MouseEvent} event */
  const onClick = (event) => event.target === box.current && onClose();
  return html`<dialog ref=${box} class=${name} aria-label=${label} onClose=${onClose} onClick=${onClick} onKeyDown=${onKeyDown}>
    <div class="inside">${children}</div></dialog>`;
}

/**
 * Finds a class by what is typed: the first that begins so, else one that holds it, else a new one.
 * @param {{label?: string, typed: string, without?: string | null, onFound: (found: {id?: string, name: string}) => void, onClose: () => void}} properties
 */
export function Finder({ label = _("Find a class"), typed, without, onFound, onClose }) {
  const [text, setText] = useState(typed);
  const [place, setPlace] = useState(0);
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => {
    input.current?.focus();
    input.current?.setSelectionRange(typed.length, typed.length);
  }, []);
  const wanted = text.trim().toLowerCase();
  const known = classes().filter((one) => one.id !== without);
  const begins = known.filter((one) => one.name.toLowerCase().startsWith(wanted));
  const holds = known.filter((one) => !begins.includes(one) && one.name.toLowerCase().includes(wanted));
  const isNew = wanted && !classes().some((one) => one.name.toLowerCase() === wanted);
  /** @type {{id?: string, name: string}[]} */
  const found = [...begins, ...holds, ...(isNew ? [{ name: text.trim() }] : [])];

  /** @param {KeyboardEvent} event */
  const onKeyDown = (event) => {
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    const by = steps[/** @type {keyof typeof steps} */ (event.key)];
    if (by) setPlace(Math.max(0, Math.min(place + by, found.length - 1)));
    else if (event.key === "Enter" && found[place]) onFound(found[place]);
    else return;
    event.preventDefault();
  };
  /** @param {any} event */
  const onInput = (event) => {
    setText(event.currentTarget.value);
    setPlace(0);
  };
  return html`<${Dialog} label=${label} name="finder" onClose=${onClose} onKeyDown=${onKeyDown}>
    <input ref=${input} value=${text} onInput=${onInput} role="combobox" aria-expanded="true" aria-controls="found"
      aria-label=${label} placeholder=${label} aria-activedescendant=${found.length ? `found-${place}` : undefined} autocomplete="off" />
    <ul id="found" role="listbox" aria-label=${_("Classes")}>
      ${found.map((one, at) => html`<li id=${`found-${at}`} role="option" aria-selected=${at === place ? "true" : "false"} onClick=${() => onFound(one)}>
        ${one.id ? one.name : _("New class {name}", { name: one.name })}</li>`)}
    </ul>
  <//>`;
}

/**
 * A photo at a large size, with where the model looks.
 * @param {{photo: {id: string, name: string}, onClose: () => void, onMove: (by: number) => void, children?: unknown}} properties
 */
export function LargeView({ photo, onClose, onMove, children }) {
  const [isWarm, setWarm] = useState(false);
  const [heat, setHeat] = useState(/** @type {{id: string, map: string | null} | null} */ (null));
  useEffect(() => {
    if (!isWarm) return;
    ask(`/api/heatmap/${photo.id}`).then((answer) => setHeat({ id: photo.id, map: answer.heatmap }), sayError);
  }, [isWarm, photo.id]);
  const known = heat?.id === photo.id ? heat : null;
  /** @param {KeyboardEvent} event */
  const onKeyDown = (event) => {
    if (/^(SELECT|INPUT)$/.test(/** @type {Element} */ (event.target).tagName)) return;
    if (event.key === "ArrowRight") onMove(1);
    else if (event.key === "ArrowLeft") onMove(-1);
    else if (event.key === "h") setWarm(!isWarm);
  };
  return html`<${Dialog} label=${photo.name} name="large" onClose=${onClose} onKeyDown=${onKeyDown}>
    <div class="shown">
      <img class="photo" src=${`/photo/${photo.id}`} alt=${photo.name} />
      ${isWarm && known?.map && html`<img class="heat" src=${`data:image/png;base64,${known.map}`} alt="" />`}
    </div>
    <div class="below">
      <span class="name">${photo.name}</span>
      <button type="button" aria-pressed=${isWarm ? "true" : "false"} onClick=${() => setWarm(!isWarm)}>${_("Show where the model looks")}</button>
      ${isWarm && known && !known.map && html`<span class="faint">${_("The model has no heat map for this photo.")}</span>`}
      ${children}
      <button type="button" onClick=${onClose}>${_("Close")}</button>
    </div>
  <//>`;
}
