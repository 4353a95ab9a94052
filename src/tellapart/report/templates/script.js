// Decisions about photos and their CSV, previews of the confusion matrix, heat maps, and all details open in print.
// Everything can be read without it.
(() => {
  "use strict";
  document.documentElement.classList.add("js");

  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    made.append(...children);
    return made;
  };
  const each = (selector, action) => document.querySelectorAll(selector).forEach(action);
  const plural = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

  // Decisions: row -> {decision: keep | move | remove, newClass: index, or -1}.
  const decisions = new Map();
  const painters = new Map();
  // classes are as decisions.csv has them, shown as a person can read them; photos: row -> [content, path, class].
  let data = { key: "", classes: [], shown: [], photos: {} };

  const storageName = () => `tellapart decisions ${data.key}`;
  const photoName = (row) => `${data.photos[row][0]} ${data.photos[row][1]}`;

  function restore() {
    try {
      const kept = JSON.parse(localStorage.getItem(storageName()) || "{}");
      for (const row of Object.keys(data.photos)) {
        const [decision, className] = kept[photoName(row)] || [];
        const newClass = decision === "move" ? data.classes.indexOf(className) : -1;
        if (["keep", "remove"].includes(decision) || newClass >= 0) decisions.set(row, { decision, newClass });
      }
    } catch (refused) {
      // A page opened from a file may have no storage; the decisions then live as long as the page.
    }
  }

  function store() {
    const kept = {};
    for (const [row, { decision, newClass }] of decisions) kept[photoName(row)] = [decision, data.classes[newClass] || ""];
    try {
      localStorage.setItem(storageName(), JSON.stringify(kept));
    } catch (refused) {
      // As in restore.
    }
  }

  function decide(row, decision, newClass = -1) {
    if (decision) decisions.set(row, { decision, newClass });
    else decisions.delete(row);
    (painters.get(row) || []).forEach((paint) => paint());
    store();
    report();
  }

  function summary() {
    const numbers = { keep: 0, move: 0, remove: 0 };
    for (const { decision } of decisions.values()) numbers[decision] += 1;
    const parts = Object.entries(numbers).filter(([, number]) => number).map(([name, number]) => `${number} ${name}`);
    return decisions.size ? `${plural(decisions.size, "photo")} decided: ${parts.join(", ")}` : "Nothing decided yet";
  }

  function report() {
    const text = summary();
    document.getElementById("bar").hidden = decisions.size === 0;
    document.getElementById("bar-status").textContent = text;
    document.getElementById("status").textContent = text;
  }

  function onDecision(row, paint) {
    painters.set(row, [...(painters.get(row) || []), paint]);
    paint();
  }

  // As RFC 4180 has it, with a byte order mark and no text that a spreadsheet takes for a formula.
  function toCsv() {
    const safe = (text) => (/^'*[=+\-@\t\r]/.test(text) && !/^[+-]?\d+(\.\d*)?$/.test(text) ? `'${text}` : text);
    const quoted = (text) => (/[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const quote = (text) => quoted(safe(text));
    const rows = [...decisions].sort(([first], [second]) => first - second).map(([row, { decision, newClass }]) => {
      return [...data.photos[row], decision, decision === "move" ? data.classes[newClass] : ""];
    });
    return [["content", "path", "class", "decision", "new_class"], ...rows]
      .map((row) => `${row.map(quote).join(",")}\r\n`).reduce((text, line) => text + line, "\ufeff");
  }

  function download() {
    const address = URL.createObjectURL(new Blob([toCsv()], { type: "text/csv" }));
    const link = element("a", { href: address, download: "decisions.csv" });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
  }

  // Choices. A list of classes is made once and cloned; the class a photo has is left out.
  function classOptions(row, prefix) {
    const own = data.classes.indexOf(data.photos[row][2]);
    const options = data.shown.map((name, index) => element("option", { value: `${prefix}${index}` }, name));
    return options.filter((option, index) => index !== own);
  }

  function makeSelect(slot) {
    const row = slot.dataset.row;
    const select = element("select", { "aria-label": `Decide about ${data.photos[row][1]}` },
      element("option", { value: "" }, "Decide …"),
      element("option", { value: "keep" }, "Keep"),
      element("option", { value: "remove" }, "Remove"));
    const classes = classOptions(row, "move ");
    if (classes.length) select.append(element("optgroup", { label: "Move to" }, ...classes));
    select.addEventListener("change", () => {
      const [decision, newClass] = select.value.split(" ");
      decide(row, decision, newClass === undefined ? -1 : Number(newClass));
    });
    slot.append(select);
    slot.hidden = false;
    onDecision(row, () => {
      const { decision = "", newClass = -1 } = decisions.get(row) || {};
      select.value = decision === "move" ? `move ${newClass}` : decision;
      slot.classList.toggle("chosen", decision !== "");
    });
  }

  function makeChoice(slot) {
    const row = slot.dataset.row;
    const radio = (value) => element("input", { type: "radio", name: `decision-${row}`, value });
    const inputs = { keep: radio("keep"), move: radio("move"), remove: radio("remove") };
    const select = element("select", { "aria-label": "to class" }, ...classOptions(row, ""));
    select.value = slot.dataset.suggested;
    const undo = element("button", { type: "button", class: "undo", "aria-label": `Undo the decision about ${data.photos[row][1]}` }, "Undo");
    const fields = element("fieldset", {},
      element("legend", { class: "unseen" }, `Decide about ${data.photos[row][1]}`),
      element("label", {}, inputs.keep, "Keep"),
      element("label", { class: "move" }, inputs.move, "Move to"),
      element("label", {}, inputs.remove, "Remove"),
      undo);
    fields.querySelector(".move").append(select);
    const choose = () => {
      const decision = Object.keys(inputs).find((name) => inputs[name].checked);
      decide(row, decision, decision === "move" ? Number(select.value) : -1);
    };
    Object.values(inputs).forEach((input) => input.addEventListener("change", choose));
    select.addEventListener("change", () => {
      inputs.move.checked = true;
      choose();
    });
    undo.addEventListener("click", () => {
      decide(row, "");
      inputs.keep.focus();
    });
    slot.append(fields);
    onDecision(row, () => {
      const { decision = "", newClass = -1 } = decisions.get(row) || {};
      Object.entries(inputs).forEach(([name, input]) => (input.checked = name === decision));
      if (newClass >= 0) select.value = String(newClass);
      undo.hidden = decision === "";
      slot.closest("tr").classList.toggle("is-decided", decision !== "");
    });
  }

  function startDecisions() {
    data = JSON.parse(document.getElementById("data").textContent);
    restore();
    each("[data-script]", (part) => (part.hidden = false));
    each(".decide", makeSelect);
    each(".choose", makeChoice);
    document.getElementById("download").addEventListener("click", download);
    document.getElementById("clear").addEventListener("click", () => {
      if (!window.confirm("Forget all decisions?")) return;
      for (const row of [...decisions.keys()]) decide(row, "");
    });
    if (decisions.size) report();
  }

  // A cell of the matrix shows its examples beside it while it is pointed at or focused.
  function startPreviews() {
    const preview = document.getElementById("preview");
    let shown = null;
    const hide = () => {
      shown = null;
      preview.hidden = true;
    };
    const place = () => {
      if (!shown) return;
      const cell = shown.getBoundingClientRect();
      const box = preview.getBoundingClientRect();
      const below = cell.bottom + 8 + box.height <= window.innerHeight;
      preview.style.left = `${Math.max(8, Math.min(cell.left, window.innerWidth - box.width - 8))}px`;
      preview.style.top = `${Math.max(8, below ? cell.bottom + 8 : cell.top - box.height - 8)}px`;
    };
    const show = (link) => {
      shown = link;
      const source = document.getElementById(link.dataset.preview);
      preview.replaceChildren(...[...source.children].map((child) => child.cloneNode(true)));
      preview.hidden = false;
      place();
    };
    each("[data-preview]", (link) => {
      link.addEventListener("mouseenter", () => show(link));
      link.addEventListener("focus", () => show(link));
      link.addEventListener("mouseleave", hide);
      link.addEventListener("blur", hide);
      link.addEventListener("click", () => {
        hide();
        const details = document.getElementById(link.dataset.preview).closest("details");
        if (details) details.open = true;
      });
    });
    document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
    document.addEventListener("scroll", place, { capture: true, passive: true });
  }

  function startHeatmaps() {
    each("[data-heat]", (button) => {
      button.addEventListener("click", () => {
        const looked = document.getElementById(button.dataset.heat).classList.toggle("looked");
        button.setAttribute("aria-pressed", String(looked));
      });
    });
  }

  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((details) => (details.open = true));
  });
  window.addEventListener("afterprint", () => opened.forEach((details) => (details.open = false)));
  document.addEventListener("DOMContentLoaded", () => {
    startDecisions();
    startPreviews();
    startHeatmaps();
  });
})();
