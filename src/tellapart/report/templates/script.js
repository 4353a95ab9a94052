// Decisions about photos and their CSV, photos at full size, previews of the confusion matrix, heat maps, and all details
// open in print.
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
  // The sentences that the script says are English here; data.texts has them in the language of the page.
  const filled = (text, values) => text.replace(/\{(\w+)\}/g, (field, name) => values[name]);
  const _ = (message, values = {}) => filled(data.texts[message] || message, values);
  const ngettext = (singular, plural, number) => {
    return filled(data.texts[singular] || (number === 1 ? singular : plural), { num: number.toLocaleString("en") });
  };

  // Decisions: row -> {decision: keep | move | remove, newClass: index, or -1}.
  const decisions = new Map();
  const painters = new Map();
  // classes are as decisions.csv has them, shown as a person can read them; photos: row -> [content, path, class].
  // suggested: row -> [class, probability]; large, maps and details: row -> address of a picture.
  let data = { key: "", download: "decisions.csv", classes: [], shown: [], counts: [], photos: {}, suggested: {}, large: {}, maps: {}, details: {}, texts: {} };
  const undone = [];

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

  function set(row, decided) {
    if (decided && decided.decision) decisions.set(row, decided);
    else decisions.delete(row);
    (painters.get(row) || []).forEach((paint) => paint());
  }

  // The photos that a photo stands for where it is shown: copies share a row and a decision.
  function rowsOf(place, row) {
    const together = place.closest("[data-together]");
    const rows = together ? together.dataset.together.split(" ") : [];
    return [row, ...rows.filter((one) => one !== row && canDecide(one))];
  }

  function decide(rows, decision, newClass = -1) {
    undone.push(rows.map((row) => [row, decisions.get(row)]));
    rows.forEach((row) => set(row, { decision, newClass }));
    store();
    report();
  }

  function undoLast() {
    const last = undone.pop();
    if (last === undefined) return null;
    last.forEach(([row, before]) => set(row, before));
    store();
    report();
    return last[0][0];
  }

  const canDecide = (row) => data.photos[row] !== undefined && data.photos[row][2] !== "";

  // A move to the class that it has means: keep.
  function chooseClass(rows, index) {
    if (data.classes[index] === data.photos[rows[0]][2]) decide(rows, "keep");
    else decide(rows, "move", index);
  }

  function summary() {
    const numbers = { keep: 0, move: 0, remove: 0 };
    for (const { decision } of decisions.values()) numbers[decision] += 1;
    const texts = { keep: _("{num} keep", { num: numbers.keep }), move: _("{num} move", { num: numbers.move }), remove: _("{num} remove", { num: numbers.remove }) };
    const parts = Object.keys(numbers).filter((name) => numbers[name]).map((name) => texts[name]);
    if (!decisions.size) return _("Nothing decided yet");
    const decided = ngettext("{num} photo decided", "{num} photos decided", decisions.size);
    return `${decided}: ${parts.join(", ")}`;
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
    const link = element("a", { href: address, download: data.download });
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
    const select = element("select", { "aria-label": _("Decide about {name}", { name: data.photos[row][1] }) },
      element("option", { value: "" }, _("Decide …")),
      element("option", { value: "keep" }, _("Keep")),
      element("option", { value: "remove" }, _("Remove")));
    const classes = classOptions(row, "move ");
    if (classes.length) select.append(element("optgroup", { label: _("Move to") }, ...classes));
    select.addEventListener("change", () => {
      const [decision, newClass] = select.value.split(" ");
      decide(rowsOf(slot, row), decision, newClass === undefined ? -1 : Number(newClass));
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
    const select = element("select", { "aria-label": _("to class") }, ...classOptions(row, ""));
    select.value = slot.dataset.suggested;
    const undo = element("button", { type: "button", class: "undo", "aria-label": _("Undo the decision about {name}", { name: data.photos[row][1] }) }, _("Undo"));
    const fields = element("fieldset", {},
      element("legend", { class: "unseen" }, _("Decide about {name}", { name: data.photos[row][1] })),
      element("label", {}, inputs.keep, _("Keep")),
      element("label", { class: "move" }, inputs.move, _("Move to")),
      element("label", {}, inputs.remove, _("Remove")),
      undo);
    fields.querySelector(".move").append(select);
    const choose = () => {
      const decision = Object.keys(inputs).find((name) => inputs[name].checked);
      decide(rowsOf(slot, row), decision, decision === "move" ? Number(select.value) : -1);
    };
    Object.values(inputs).forEach((input) => input.addEventListener("change", choose));
    select.addEventListener("change", () => {
      inputs.move.checked = true;
      choose();
    });
    undo.addEventListener("click", () => {
      decide(rowsOf(slot, row), "");
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

  // One choice for a whole group of photos that belong together.
  function makeGroupChoice(slot) {
    const rows = slot.dataset.rows.split(" ").filter(canDecide);
    if (rows.length < 2) return;
    const options = [["", _("Decide for all …")], ["first", _("Keep the first, remove the others")], ["keep", _("Keep all")], ["remove", _("Remove all")]];
    const select = element("select", { "aria-label": _("Decide for all photos of this group") },
      ...options.map(([value, text]) => element("option", { value }, text)),
      element("optgroup", { label: _("All are of class") }, ...data.shown.map((name, index) => element("option", { value: `class ${index}` }, name))));
    select.addEventListener("change", () => {
      const [choice, index] = select.value.split(" ");
      rows.forEach((row, place) => {
        if (choice === "class") chooseClass([row], Number(index));
        else if (choice === "first") decide([row], place ? "remove" : "keep");
        else decide([row], choice);
      });
      select.value = "";
    });
    slot.append(select);
    slot.hidden = false;
  }

  // Moves what the models are sure of, but never a tenth of a class or more: then it is rather the model that is wrong.
  function acceptSure(button) {
    const least = Number(button.dataset.least);
    const open = Object.entries(data.suggested).filter(([row, [, probability]]) => probability >= least && !decisions.has(row));
    const leaving = new Map();
    open.forEach(([row]) => leaving.set(data.photos[row][2], (leaving.get(data.photos[row][2]) || 0) + 1));
    const stays = new Set([...leaving].filter(([name, number]) => number >= data.counts[data.classes.indexOf(name)] / 10).map(([name]) => name));
    const taken = open.filter(([row]) => !stays.has(data.photos[row][2]));
    taken.forEach(([row, [index]]) => decide([row], "move", index));
    const names = [...stays].map((name) => data.shown[data.classes.indexOf(name)]).join(", ");
    const left = _("Look yourself at {names}: a tenth of the class or more would move.", { names });
    const accepted = ngettext("{num} suggestion accepted.", "{num} suggestions accepted.", taken.length);
    document.getElementById("accepted").textContent = stays.size ? `${accepted} ${left}` : accepted;
  }

  const shellWord = (text, isWindows) => {
    if (/^[\w/.+=-]+$/.test(text)) return text;
    return isWindows ? `"${text}"` : `'${text.replaceAll("'", "'\\''")}'`;
  };

  // A page of a run that is open as a file knows where the run is, and the run knows where its photos are: so a command
  // works in whatever folder it is pasted. Elsewhere the folder is unknown.
  function runFolder() {
    if (!data.is_run || location.protocol !== "file:") return { folder: null, isWindows: false };
    const path = decodeURIComponent(location.pathname).replace(/\/[^/]*$/, "");
    const isWindows = /^\/[A-Za-z]:\//.test(path);
    return { folder: shellWord(isWindows ? path.slice(1) : path, isWindows), isWindows };
  }

  function placeCommand() {
    const command = document.getElementById("fix-command");
    const { folder } = runFolder();
    if (command && folder) command.textContent = `tellapart fix ${folder} --decisions ${data.download} --out cleaned`;
  }

  function startDecisions() {
    data = JSON.parse(document.getElementById("data").textContent);
    restore();
    placeCommand();
    each("[data-script]", (part) => (part.hidden = false));
    each(".decide", makeSelect);
    each(".choose", makeChoice);
    each(".decide-group", makeGroupChoice);
    each("[data-least]", (button) => button.addEventListener("click", () => acceptSure(button)));
    document.getElementById("download").addEventListener("click", download);
    document.getElementById("clear").addEventListener("click", () => {
      if (!window.confirm(_("Forget all decisions?"))) return;
      decide([...decisions.keys()], "");
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

  // A click on a photo opens it large; the keys go through its section and decide.
  function startLarge() {
    const dialog = element("dialog", { class: "large", "aria-label": _("Photo") });
    const picture = element("div", { class: "large-picture" });
    const caption = element("p", { class: "large-caption", "aria-live": "polite" });
    const verdict = element("p", { class: "large-verdict", "aria-live": "polite" });
    const button = (text, key, action) => {
      const made = element("button", { type: "button", "aria-keyshortcuts": key }, text, " ", element("kbd", {}, key));
      made.addEventListener("click", action);
      return made;
    };
    let list = [];
    let place = 0;
    let row = "";
    let isMapShown = false;
    let isDetailShown = false;

    const settle = (action) => {
      if (!canDecide(row)) return;
      action();
      step(1);
    };
    const step = (by) => {
      place = Math.max(0, Math.min(list.length - 1, place + by));
      show();
    };
    const move = element("select", { "aria-label": _("Move to class") });
    move.addEventListener("change", () => move.value !== "" && settle(() => chooseClass(rowsOf(list[place], row), Number(move.value))));
    const legend = document.querySelector(".legend") ? document.querySelector(".legend").cloneNode(true) : element("p");
    const paintMap = () => {
      picture.classList.toggle("mapped", isMapShown);
      map.setAttribute("aria-pressed", String(isMapShown));
      legend.hidden = !isMapShown;
    };
    const toggleMap = () => {
      const isWanted = !isMapShown && data.maps[row] !== undefined;
      if (isWanted && isDetailShown) show();
      isMapShown = isWanted;
      paintMap();
    };
    const map = button(_("Where it looked"), "h", toggleMap);
    // A part of a large photo, pixel by pixel, around the place where the model looked.
    const toggleDetail = () => {
      if (data.details[row] === undefined) return;
      const isWanted = !isDetailShown;
      show();
      if (!isWanted) return;
      isDetailShown = true;
      picture.classList.add("detailed");
      picture.replaceChildren(element("img", { src: data.details[row], alt: detail.title }));
      detail.setAttribute("aria-pressed", "true");
      fit();
    };
    const detail = button(_("Full resolution"), "d", toggleDetail);
    detail.title = _("The part where it looked, at the photo's own resolution");
    const deciding = element("p", { class: "buttons" },
      button(_("Keep"), "k", () => settle(() => decide(rowsOf(list[place], row), "keep"))),
      button(_("Remove"), "r", () => settle(() => decide(rowsOf(list[place], row), "remove"))),
      element("label", {}, _("Move to"), " ", move));
    const keys = element("p", { class: "small" });
    dialog.append(
      element("div", { class: "large-top" }, caption, button(_("Close"), "Esc", () => dialog.close())),
      picture,
      element("div", { class: "large-bottom" }, verdict, deciding,
        element("p", { class: "buttons" }, button(_("Back"), "←", () => step(-1)), button(_("Next"), "→", () => step(1)), map, detail), legend, keys));
    document.body.append(dialog);

    function said() {
      const { decision = "", newClass = -1 } = decisions.get(row) || {};
      if (decision === "move") return _("Decided: move to {name}", { name: data.shown[newClass] });
      if (decision === "keep") return _("Decided: keep");
      return decision ? _("Decided: remove") : "";
    }

    // As large as there is room, but not more than four times its pixels; the map lies exactly over it.
    function fit() {
      if (isDetailShown) return;
      const [, , width, height] = list[place].getAttribute("viewBox").split(" ").map(Number);
      const most = data.large[row] ? Infinity : 4;
      const scale = Math.min(picture.clientWidth / width, picture.clientHeight / height, most);
      for (const one of picture.children) {
        one.style.width = `${Math.floor(width * scale)}px`;
        one.style.height = `${Math.floor(height * scale)}px`;
      }
    }

    function show() {
      const small = list[place];
      row = small.dataset.row;
      isMapShown = isDetailShown = false;
      picture.classList.remove("detailed");
      paintMap();
      const figure = small.closest("figure");
      const texts = figure ? [...figure.querySelectorAll(".said, .no-map")].map((one) => one.textContent.replace(/\s+/g, " ").trim()) : [];
      caption.textContent = [_("{place} of {num}: {name}", { place: place + 1, num: list.length, name: small.getAttribute("data-name") }), ...texts].join(". ");
      if (data.large[row]) {
        picture.replaceChildren(element("img", { src: data.large[row], alt: small.getAttribute("data-name") }));
      } else {
        const copy = small.cloneNode(true);
        ["tabindex", "role"].forEach((name) => copy.removeAttribute(name));
        copy.setAttribute("class", "");
        picture.replaceChildren(copy);
      }
      if (data.maps[row]) picture.append(element("img", { class: "map", src: data.maps[row], alt: "" }));
      map.hidden = data.maps[row] === undefined;
      detail.hidden = data.details[row] === undefined;
      detail.setAttribute("aria-pressed", "false");
      deciding.hidden = !canDecide(row);
      keys.textContent = canDecide(row) ? _("Keys: k keep, r remove, m move, 1 to {last} class, z undo.", { last: Math.min(9, data.classes.length) }) : "";
      move.replaceChildren(element("option", { value: "" }, _("class …")), ...data.shown.map((name, index) => element("option", { value: String(index) }, name)));
      verdict.textContent = said();
      if (dialog.open) fit();
    }

    function open(small) {
      const around = small.closest(".suspects, .card, .gallery, .mix-ups, section") || document.body;
      const seen = new Set();
      list = [...around.querySelectorAll("svg.photo[data-row]:not(.heat)")].filter((one) => {
        const isNew = one === small || (!seen.has(one.dataset.row) && one.dataset.row !== small.dataset.row && one.getClientRects().length > 0);
        seen.add(one.dataset.row);
        return isNew;
      });
      place = Math.max(0, list.indexOf(small));
      show();
      dialog.showModal();
      fit();
    }

    each("svg.photo[data-row]", (small) => {
      small.setAttribute("data-name", small.getAttribute("aria-label"));
      small.setAttribute("role", "button");
      small.setAttribute("tabindex", "0");
      small.setAttribute("aria-label", _("Enlarge {name}", { name: small.getAttribute("aria-label") }));
      small.addEventListener("click", () => open(small.classList.contains("heat") ? small.parentNode.querySelector(".seen") || small : small));
      small.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        open(small);
      });
    });
    window.addEventListener("resize", () => dialog.open && fit());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => list[place] && list[place].focus());
    dialog.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target === move) return;
      const actions = {
        ArrowLeft: () => step(-1),
        ArrowRight: () => step(1),
        h: toggleMap,
        d: toggleDetail,
        k: () => settle(() => decide(rowsOf(list[place], row), "keep")),
        r: () => settle(() => decide(rowsOf(list[place], row), "remove")),
        m: () => canDecide(row) && move.focus(),
        z: () => {
          const back = undoLast();
          const found = list.findIndex((one) => one.dataset.row === back);
          if (found >= 0) place = found;
          show();
        },
      };
      const isClass = /^[1-9]$/.test(event.key) && Number(event.key) <= data.classes.length;
      const action = isClass ? () => settle(() => chooseClass(rowsOf(list[place], row), Number(event.key) - 1)) : actions[event.key];
      if (!action) return;
      event.preventDefault();
      action();
    });
  }

  // The slider of a threshold goes through the stops that the page has worked out, and moves the dots of both curves.
  function startDials() {
    const { folder, isWindows } = runFolder();
    each("[data-dial]", (card) => {
      const { name, stops } = data.dials[Number(card.dataset.dial)];
      const slider = card.querySelector("input[type=range]");
      const dots = card.querySelectorAll(".here");
      const show = () => {
        const stop = stops[Number(slider.value)];
        card.querySelectorAll("[data-part]").forEach((part) => (part.textContent = stop[Number(part.dataset.part)]));
        slider.setAttribute("aria-valuetext", stop[0]);
        dots.forEach((dot, number) => {
          dot.setAttribute("cx", stop[5 + 2 * number]);
          dot.setAttribute("cy", stop[6 + 2 * number]);
        });
        const setting = shellWord(`${name}=${stop[0]}`, isWindows);
        card.querySelector(".dial-command").textContent = `tellapart dial ${folder || "MODEL_DIR"} --threshold ${setting}`;
      };
      slider.addEventListener("input", show);
      show();
    });
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
    startDials();
    startLarge();
  });
})();
