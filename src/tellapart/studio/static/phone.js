// The page for a phone: choose a class, take photos, and they are on the computer. It can do nothing else.
// @ts-check
import { ask, send } from "./api.js";
import { html } from "./html.js";
import { _, ngettext } from "./translation.js";
import { useEffect, useState } from "./vendor/hooks.js";
import { render } from "./vendor/preact.js";

const token = location.hash.slice(1);
const headers = { Authorization: `Bearer ${token}` };

function Phone() {
  const [classes, setClasses] = useState(/** @type {{id: string, name: string}[]} */ ([]));
  const [to, setTo] = useState("unsorted");
  const [num, setNum] = useState(0);
  const [waiting, setWaiting] = useState(0);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    ask("/phone/classes", { headers }).then(
      (answer) => {
        setClasses(answer.classes);
        if (answer.classes.length) setTo(answer.classes[0].id);
      },
      (error) => setProblem(error.message),
    );
  }, []);

  /** @param {any} event */
  const onPhotos = async (event) => {
    const files = [...event.currentTarget.files];
    event.currentTarget.value = "";
    setWaiting((before) => before + files.length);
    for (const file of files) {
      const query = new URLSearchParams({ class: to, name: file.name });
      try {
        const answer = await send(`/phone/photos?${query}`, file, headers);
        setNum((before) => before + answer.added.length);
        setProblem(answer.skipped.map((/** @type {any} */ one) => `${one.name}: ${one.reason}`).join(" "));
      } catch (error) {
        setProblem(error instanceof Error ? error.message : String(error));
      }
      setWaiting((before) => before - 1);
    }
  };
  return html`<main class="phone-page"><h1>${_("Add photos")}</h1>
    <label class="field">${_("Class")} <select value=${to} onChange=${(/** @type {any} */ event) => setTo(event.currentTarget.value)}>
      ${classes.map((one) => html`<option value=${one.id}>${one.name}</option>`)}
      <option value="unsorted">${_("Unsorted")}</option></select></label>
    <label class="button main huge">${_("Take a photo")} <input type="file" accept="image/*" capture="environment" onChange=${onPhotos} /></label>
    <label class="button huge">${_("Choose photos")} <input type="file" accept="image/*" multiple onChange=${onPhotos} /></label>
    <p role="status">${waiting ? ngettext("{num} photo on its way …", "{num} photos on their way …", waiting) : num ? ngettext("{num} photo added.", "{num} photos added.", num) : ""}</p>
    ${problem && html`<p class="problem-text" role="alert">${problem}</p>`}
  </main>`;
}

render(html`<${Phone} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
