// The page: its head, the view that the address names, and the line that says what happened. Drops, pastes and a few
// keys work wherever the person is.
// @ts-check
import { Check } from "./check.js";
import { Collect } from "./collect.js";
import { html, withCode } from "./html.js";
import { followLink, view } from "./route.js";
import { chosen, classOf, classes, connection, notice, project, say, start, undo } from "./store.js";
import { Train } from "./train.js";
import { _, ngettext, percent } from "./translation.js";
import { Try, tried } from "./try.js";
import { itemsOf, progress, skipped, upload } from "./uploads.js";
import { Use } from "./use.js";
import { useEffect, useRef } from "./vendor/hooks.js";
import { render } from "./vendor/preact.js";
import "./vendor/signals.js";

const NOTICE_MS = 6000;
const MOST_SKIPPED = 50;

const VIEWS = { collect: Collect, train: Train, check: Check, try: Try, use: Use };

/** @param {string} name */
function titleOf(name) {
  return { collect: _("Collect"), train: _("Train"), check: _("Check"), try: _("Try"), use: _("Use") }[name] ?? name;
}

function App() {
  const main = useRef(/** @type {HTMLElement | null} */ (null));
  const isFirst = useRef(true);
  const shown = view.value;
  useEffect(() => {
    document.title = `${titleOf(shown)} · ${project.value?.name ?? "tellapart"}`;
    // Whoever changed the view by a key goes on reading there; not when the page was opened.
    if (!isFirst.current) {
      main.current?.focus({ preventScroll: true });
      window.scrollTo(0, 0);
    }
    isFirst.current = false;
  }, [shown]);
  // Where there are photos the keys are theirs.
  const skip = (/** @type {Event} */ event) => {
    event.preventDefault();
    /** @type {HTMLElement | null} */ (document.querySelector(".grid") ?? main.current)?.focus();
  };
  const View = VIEWS[/** @type {keyof typeof VIEWS} */ (shown)];
  return html`<a class="skip" href="#main" onClick=${skip}>${_("Skip to the content")}</a>
    <${Head} shown=${shown} />
    <main id="main" tabindex="-1" ref=${main} class=${shown}>
      ${connection.value === "locked" ? html`<${Locked} />` : project.value ? html`<${View} />` : html`<p class="faint waiting">${_("Opening the folder …")}</p>`}
    </main>
    <${Status} />`;
}

/** @param {{shown: string}} properties */
function Head({ shown }) {
  const model = project.value?.model;
  return html`<header class="head">
    <p class="brand"><span class="mark" aria-hidden="true"></span><bdi>${project.value?.name ?? "tellapart"}</bdi></p>
    <nav aria-label=${_("Views")}><ul>
      ${Object.keys(VIEWS).map((name) => html`<li key=${name}><a href=${`/${name}`} onClick=${followLink} aria-current=${name === shown ? "page" : undefined}>${titleOf(name)}</a></li>`)}
    </ul></nav>
    ${model?.accuracy != null && html`<p class="head-figure"><span class="n">${percent(model.accuracy, 0)}</span> ${model.is_provisional ? _("provisional") : _("accuracy")}</p>`}
  </header>`;
}

function Locked() {
  return html`<div class="reading"><h1>${_("Open Studio with its whole address")}</h1>
    <p class="lead">${withCode(_("The terminal in which you started `tellapart studio` shows the address. It ends with a secret that keeps others out."))}</p></div>`;
}

/** What happened last, how far the files are, and whether the server is there; at the lower edge, where it covers nothing. */
function Status() {
  const said = notice.value;
  const { total, done } = progress.value;
  const isSending = done < total;
  useEffect(() => {
    if (!said || said.isProblem) return;
    const timer = setTimeout(() => say(""), NOTICE_MS);
    return () => clearTimeout(timer);
  }, [said]);
  const isAway = connection.value === "away" && project.value;
  const isShown = said || isSending || isAway || skipped.value.length;
  return html`<div class=${`status${isShown ? "" : " empty-status"}`} role="status">
    ${isAway && html`<p class="problem-text">${_("Studio does not answer. Start it again, and this page goes on.")}</p>`}
    ${isSending && html`<p><progress max=${total} value=${done} aria-label=${_("Files sent")}></progress> ${ngettext("{done} of {num} file", "{done} of {num} files", total, { done })}</p>`}
    ${said && !isSending && html`<p class=${said.isProblem ? "problem-text" : ""}>${said.text}
      ${/\bZ\b/.test(said.text) && html` <button type="button" onClick=${undo}>${_("Undo")}</button>`}
      ${said.isProblem && html` <button type="button" onClick=${closeNotice}>${_("Close")}</button>`}</p>`}
    ${skipped.value.length > 0 && !isSending && html`<details><summary>${ngettext("Why {num} file was not added", "Why {num} files were not added", skipped.value.length)}</summary>
      <ul>${skipped.value.slice(0, MOST_SKIPPED).map((one) => html`<li><bdi>${one.name}</bdi>: ${one.reason}</li>`)}</ul></details>`}
  </div>`;
}

function closeNotice() {
  say("");
  skipped.value = [];
}

/** Where files go that are dropped or pasted beside a class. */
const target = () => (classOf(chosen.value) ? chosen.value : classes().length === 1 ? classes()[0].id : "unsorted");

/** @param {import("./uploads.js").Item[]} items */
function take(items) {
  if (view.value !== "try") {
    if (items.length) upload(items, target());
    else say(_("This is not a file."), true);
    return;
  }
  const file = items[0]?.file;
  if (file instanceof File) tried.value = file;
  else say(_("This is not a file."), true);
}

document.addEventListener("paste", (event) => {
  const files = event.clipboardData?.files;
  if (files?.length) take([...files].map((file) => ({ file, name: file.name, folder: "" })));
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("over");
});
document.addEventListener("drop", async (event) => {
  document.body.classList.remove("over");
  if (event.defaultPrevented) return;
  event.preventDefault();
  if (event.dataTransfer) take(await itemsOf(event.dataTransfer));
});
document.addEventListener("keydown", (event) => {
  const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(/** @type {Element} */ (event.target).tagName);
  if (event.key === "z" && !event.defaultPrevented && !isTyping && !event.altKey && ["collect", "check"].includes(view.value)) {
    event.preventDefault();
    undo();
  }
});

render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
start();
