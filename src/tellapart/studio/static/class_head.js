// The head of a class: its name, and what can be done with the class as a whole. All of it can be undone.
// @ts-check
import { Finder } from "./dialogs.js";
import { html } from "./html.js";
import { go } from "./route.js";
import { classOf, classes, command, project, say, undo } from "./store.js";
import { Toolbar } from "./toolbar.js";
import { _, ngettext } from "./translation.js";
import { classNamed } from "./uploads.js";
import { useEffect, useRef, useState } from "./vendor/hooks.js";

/** @param {{of: string, name: string, num: number}} properties */
export function ClassHead({ of, name, num }) {
  const [isRenaming, setRenaming] = useState(false);
  const [isMerging, setMerging] = useState(false);
  const isClass = Boolean(classOf(of));
  useEffect(() => setRenaming(false), [of]);

  /** @param {{id?: string, name: string}} found */
  const onMerge = async (found) => {
    setMerging(false);
    const into = found.id ?? (await classNamed(found.name));
    if (!into || !(await command({ do: "merge_classes", from: of, into }))) return;
    go(`/collect?class=${encodeURIComponent(into)}`, true);
    say(_("The classes are merged. Z undoes it."));
  };
  const onDelete = async () => {
    if (!(await command({ do: "delete_class", class: of }))) return;
    go("/collect", true);
    say(_("The class {name} is deleted. Z undoes it.", { name }));
  };
  return html`<div class="class-head">
    ${isRenaming ? html`<${NewName} of=${of} name=${name} onEnd=${() => setRenaming(false)} />` : html`<h1><bdi>${name}</bdi> <span class="num">${ngettext("{num} photo", "{num} photos", num)}</span></h1>`}
    <${Toolbar} class="buttons quiet" label=${_("For the class")}>
      ${isClass && html`<button type="button" onClick=${() => setRenaming(true)}>${_("Rename")}</button>
        ${classes().length > 1 && html`<button type="button" onClick=${() => setMerging(true)}>${_("Merge into …")}</button>`}
        <button type="button" onClick=${onDelete}>${_("Delete")}</button>`}
      <button type="button" disabled=${!project.value.can_undo} onClick=${undo}>${_("Undo")} <kbd>Z</kbd></button>
    <//>
    ${isMerging && html`<${Finder} label=${_("Merge {name} into another class", { name })} typed="" without=${of} onFound=${onMerge} onClose=${() => setMerging(false)} />`}
    ${of === "unsorted" && num > 0 && html`<p class="faint keys">${_("Enter accepts, 1 to 9 give a class, letters find one. Shift selects, Z undoes, Del bins.")}</p>`}
  </div>`;
}

/** @param {{of: string, name: string, onEnd: () => void}} properties */
function NewName({ of, name, onEnd }) {
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => input.current?.select(), []);
  /** @param {Event} event */
  const onSubmit = async (event) => {
    event.preventDefault();
    const wanted = input.current?.value.trim();
    if (!wanted || wanted === name) return onEnd();
    const answer = await command({ do: "rename_class", class: of, name: wanted });
    if (!answer) return;
    onEnd();
    go(`/collect?class=${encodeURIComponent(answer.class)}`, true);
  };
  return html`<form class="rename" onSubmit=${onSubmit} onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === "Escape" && onEnd()}>
    <input ref=${input} defaultValue=${name} aria-label=${_("New name of {name}", { name })} autocomplete="off" />
    <button class="main">${_("Rename")}</button><button type="button" onClick=${onEnd}>${_("Cancel")}</button>
  </form>`;
}
