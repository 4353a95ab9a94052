// Check: what seems wrong with the photos, to be decided in place. A photo leaves the page once the server has the
// decision on disk, and not before.
// @ts-check
import { Finder, LargeView } from "./dialogs.js";
import { html } from "./html.js";
import { bin, checks, classOf, classes, command, label, loadChecks, project, say } from "./store.js";
import { _, ngettext, percent } from "./translation.js";
import { classNamed, newBurst } from "./uploads.js";
import { useEffect, useRef, useState } from "./vendor/hooks.js";

/** @typedef {{id: string, digest: string, name: string, class: string | null, proposal: {class: string, probability: number} | null}} FoundPhoto */
/** @typedef {{name: string, title: string, sentence: string, groups: FoundPhoto[][]}} Finding */

// More would be neither looked at nor quick to draw; the rest comes up as these are decided.
const MOST_GROUPS = 24;

/** @param {FoundPhoto[]} group */
const keyOf = (group) => group.map((photo) => photo.id).join(" ");

export function Check() {
  const [decided, setDecided] = useState(/** @type {Set<string>} */ (new Set()));
  const [large, setLarge] = useState(/** @type {{photos: FoundPhoto[], place: number} | null} */ (null));
  const [busy, setBusy] = useState("");
  const heading = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    loadChecks();
  }, [project.value?.revision]);

  /**
   * Runs a decision about a group, or several; they go when the server has it.
   * @param {string | string[]} key @param {() => Promise<any>} decide
   */
  const settle = async (key, decide) => {
    if (busy) return;
    setBusy(String(key));
    const buttons = [...document.querySelectorAll(".finding .group")];
    const place = buttons.findIndex((one) => one.contains(document.activeElement));
    const answer = await decide();
    setBusy("");
    if (!answer) return;
    setDecided((known) => new Set([...known, ...(Array.isArray(key) ? key : [key])]));
    say(_("Saved. Z undoes it."));
    requestAnimationFrame(() => {
      const next = /** @type {HTMLElement | null} */ ([...document.querySelectorAll(".finding .group")][place]?.querySelector("button.decide") ?? null);
      (next ?? heading.current)?.focus();
    });
  };

  const known = checks.value;
  const findings = /** @type {Finding[]} */ (known?.findings ?? [])
    .map((finding) => ({ finding, groups: finding.groups.filter((group) => !decided.has(keyOf(group))) }));
  const open = findings.filter(({ groups }) => groups.length);
  const facts = findings.filter(({ finding }) => !finding.groups.length);
  useEffect(() => setDecided(new Set()), [known]);

  return html`<div class="reading check">
    <h1 tabindex="-1" ref=${heading}>${_("Check")}</h1>
    <p class="lead" aria-live="polite">${leadOf(known, open.length)}</p>
    ${open.map(({ finding, groups }) => html`<section class="finding" key=${finding.name}>
      <h2>${finding.title}</h2><p class="faint">${finding.sentence}</p>
      <div class="groups">${groups.slice(0, MOST_GROUPS).map((group) => html`<${Group} key=${keyOf(group)} group=${group} isBusy=${busy === keyOf(group)}
        settle=${settle} onLarge=${(/** @type {number} */ place) => setLarge({ photos: group, place })} />`)}</div>
      <${AllAtOnce} groups=${groups.slice(0, MOST_GROUPS)} settle=${settle} />
      ${groups.length > MOST_GROUPS && html`<p class="faint">${ngettext("{num} more comes up as you decide.", "{num} more come up as you decide.", groups.length - MOST_GROUPS)}</p>`}
    </section>`)}
    ${facts.length > 0 && html`<section><h2>${_("Also noticed")}</h2><dl class="facts">${facts.map(({ finding }) => html`<dt>${finding.title}</dt><dd class="faint">${finding.sentence}</dd>`)}</dl></section>`}
    ${large && html`<${LargeView} photo=${large.photos[large.place]} onClose=${() => setLarge(null)}
      onMove=${(/** @type {number} */ by) => setLarge({ ...large, place: Math.max(0, Math.min(large.place + by, large.photos.length - 1)) })} />`}
  </div>`;
}

/** @param {any} known @param {number} num findings with photos */
function leadOf(known, num) {
  if (!known || ["running", "waiting"].includes(known.state)) return _("The photos are being checked. Findings appear here.");
  if (known.state === "failed") return known.message;
  if (known.state === "none") return _("There is nothing to check yet. Add photos first.");
  if (!num) return _("No problems found in the photos.");
  return _("Look at each photo and decide. Your own files stay as they are.");
}

/**
 * @param {{group: FoundPhoto[], isBusy: boolean, settle: (key: string, decide: () => Promise<any>) => void, onLarge: (place: number) => void}} properties
 */
function Group({ group, isBusy, settle, onLarge }) {
  const key = keyOf(group);
  const ids = group.map((photo) => photo.id);
  const given = new Set(group.map((photo) => photo.class));
  const several = given.size > 1 ? classes().filter((one) => given.has(one.id)) : [];
  return html`<div class="group" aria-busy=${isBusy ? "true" : "false"}>
    <div class="shots">${group.map((photo, place) => html`<${Shot} key=${photo.id} photo=${photo} onLarge=${() => onLarge(place)} />`)}</div>
    <div class="buttons">
      ${group.length > 1
        ? html`${several.map((one) => html`<button type="button" class="decide" key=${one.id} onClick=${() => settle(key, () => label(ids, one.id))}>${_("All are {name}", { name: one.name })}</button>`)}
            <button type="button" class=${several.length ? "" : "decide"} onClick=${() => settle(key, () => keepFirst(ids))}>${_("Keep the first, bin the others")}</button>
            <button type="button" onClick=${() => settle(key, () => command({ do: "keep", photos: ids }))}>${_("Keep all")}</button>
            <button type="button" onClick=${() => settle(key, () => bin(ids))}>${_("Bin all")}</button>`
        : html`<${OneDecision} photo=${group[0]} settle=${settle} />`}
      ${group.length > 1 && html`<${MoveTo} ids=${ids} settle=${settle} present=${null} />`}
    </div>
  </div>`;
}

/**
 * Gives all photos in sight the classes that the model says, where each has one: those about which it is wrong are decided
 * before.
 * @param {{groups: FoundPhoto[][], settle: (key: string[], decide: () => Promise<any>) => void}} properties
 */
function AllAtOnce({ groups, settle }) {
  if (groups.length < 2 || !groups.every((group) => group.length === 1 && group[0].proposal)) return null;
  const onClick = () =>
    settle(groups.map(keyOf), async () => {
      const batch = newBurst();
      for (const one of classes()) {
        const ids = groups.map(([photo]) => photo).filter((photo) => photo.proposal?.class === one.id).map((photo) => photo.id);
        if (ids.length && !(await label(ids, one.id, batch))) return null;
      }
      return true;
    });
  return html`<p class="buttons"><button type="button" onClick=${onClick}>${ngettext("The model is right about this {num} photo", "The model is right about these {num} photos", groups.length)}</button></p>`;
}

/** Two commands, of which the second is sent only once the first is on disk. @param {string[]} ids */
async function keepFirst(ids) {
  return (await bin(ids.slice(1))) && command({ do: "keep", photos: ids.slice(0, 1) });
}

/** @param {{photo: FoundPhoto, settle: (key: string, decide: () => Promise<any>) => void}} properties */
function OneDecision({ photo, settle }) {
  const proposed = photo.proposal && classOf(photo.proposal.class);
  const present = photo.class ? classOf(photo.class) : null;
  const isOther = proposed && proposed.id !== present?.id;
  return html`${isOther && html`<button type="button" class="decide" onClick=${() => settle(photo.id, () => label([photo.id], proposed.id))}>${_("It is {name}", { name: proposed.name })}</button>`}
    <button type="button" class=${isOther ? "" : "decide"} onClick=${() => settle(photo.id, () => command({ do: "keep", photos: [photo.id] }))}>${present ? _("Keep {name}", { name: present.name }) : _("Keep")}</button>
    <${MoveTo} ids=${[photo.id]} settle=${settle} present=${photo.class} />
    <button type="button" onClick=${() => settle(photo.id, () => bin([photo.id]))}>${_("To the bin")}</button>`;
}

/** @param {{ids: string[], present: string | null, settle: (key: string, decide: () => Promise<any>) => void}} properties */
function MoveTo({ ids, present, settle }) {
  const [isOpen, setOpen] = useState(false);
  /** @param {{id?: string, name: string}} found */
  const onFound = (found) => {
    setOpen(false);
    settle(ids.join(" "), async () => {
      const to = found.id ?? (await classNamed(found.name));
      return to && label(ids, to);
    });
  };
  return html`<button type="button" onClick=${() => setOpen(true)}>${_("Another class …")}</button>
    ${isOpen && html`<${Finder} label=${_("Give another class")} typed="" without=${present} onFound=${onFound} onClose=${() => setOpen(false)} />`}`;
}

/** @param {{photo: FoundPhoto, onLarge: () => void}} properties */
function Shot({ photo, onLarge }) {
  const present = photo.class ? classOf(photo.class) : null;
  const proposed = photo.proposal && classOf(photo.proposal.class);
  return html`<figure class="shot"><button type="button" class="picture" onClick=${onLarge} aria-label=${_("Look closely at {name}", { name: photo.name })}>
      <img src=${`/thumb/${photo.digest}.webp`} alt="" loading="lazy" /></button>
    <figcaption>${present && html`<span>${_("Class: {name}", { name: present.name })}</span>`}
      ${proposed && photo.proposal && html`<span class="faint">${_("Model says {name}, {probability}", { name: proposed.name, probability: percent(photo.proposal.probability, 0) })}</span>`}
    </figcaption></figure>`;
}
