// The page: photos come from a choice, a drop, the clipboard, a folder or the camera; answers go to the bars and the table.

const find = (id) => document.getElementById(id);
const data = JSON.parse(find("data").textContent);
const filled = (text, values) => text.replace(/\{(\w+)\}/g, (field, name) => values[name] ?? field);
const _ = (message, values = {}) => filled(data.texts[message] || message, values);
const ngettext = (singular, plural, num) => filled(data.texts[singular] || (num === 1 ? singular : plural), { num: num.toLocaleString("en") });
const made = (tag, settings = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), settings);
  element.append(...children);
  return element;
};

const MOST_BARS = 10, MAP_SIDE = 64;
// One for each photo: {path, file, reason, result, answer}.
const rows = [];
const state = { test: "running", reason: "", difference: null };
globalThis.tellapart = { rows, state };
const camera = new Camera(find("video"), find("camera"));
let shown = null, isBusy = false, isStopped = false;

function percent(share) {
  if (share <= 1e-9 || share >= 1 - 1e-9) return `${Math.round(share) * 100}%`;
  return `${Math.min(99.9, Math.max(0.1, share * 100)).toFixed(1)}%`;
}

const settings = () => ({
  least: data.notSure[find("not-sure").value]?.threshold ?? 0,
  largest: data.noneOfThese[find("none-of-these").value]?.largest ?? Infinity,
});
const nameOf = (answer) => (answer.doubt ? data.doubts[answer.doubt].shown : data.shown[answer.place]);

function say(text, kind = "") {
  find("status").textContent = text;
  find("status").className = kind;
}

function showPhoto(source) {
  const image = find("photo");
  if (image.src) URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(source);
  image.hidden = false;
  find("video").hidden = find("hint").hidden = true;
  image.onerror = () => { image.hidden = true; };
}

function showHeat(result, answer) {
  const map = find("with-heat").checked ? result.mapOf(answer.place) : null, image = map && colourMap(map, MAP_SIDE);
  find("heat").hidden = !image;
  find("picture").classList.toggle("warm", Boolean(image));
  if (image) find("heat").getContext("2d").putImageData(image, 0, 0);
}

function showAnswer(result, answer) {
  find("answer").replaceChildren(made("bdi", { textContent: nameOf(answer) }));
  if (!answer.doubt) find("answer").append(` ${percent(answer.probability)}`);
  find("answer").classList.toggle("unsure", Boolean(answer.doubt));
  find("doubt").hidden = !answer.doubt;
  const order = result.probabilities.map((share, place) => [share, place]).sort((one, other) => other[0] - one[0]);
  find("bars").replaceChildren(...order.slice(0, MOST_BARS).map(([share, place]) => {
    const fill = made("div", { className: "fill" });
    fill.style.width = `${share * 100}%`;
    return made("li", {}, made("bdi", { textContent: data.shown[place] }), made("span", { textContent: percent(share) }), made("div", { className: "track" }, fill));
  }));
  showHeat(result, answer);
}

function showReason(text) {
  find("answer").textContent = text;
  find("answer").classList.add("unsure");
  find("bars").replaceChildren();
  find("doubt").hidden = find("heat").hidden = true;
  find("picture").classList.remove("warm");
}

function showRow(row) {
  camera.stop();
  shown?.line?.removeAttribute("aria-current");
  shown = row;
  row.line?.setAttribute("aria-current", "true");
  showPhoto(row.file);
  find("name").textContent = row.path;
  if (row.reason) showReason(row.reason);
  else if (row.result) showAnswer(row.result, row.answer);
}

function drawLine(row) {
  const button = made("button", { type: "button", className: "path" }, made("bdi", { textContent: row.path }));
  button.addEventListener("click", () => {
    showRow(row);
    find("picture").scrollIntoView({ block: "nearest" });
  });
  const answer = row.reason ? [made("td", { className: "unsure", colSpan: 2, textContent: row.reason })] : [
    made("td", { className: row.answer.doubt ? "unsure" : "" }, made("bdi", { textContent: nameOf(row.answer) })),
    made("td", { className: "n", textContent: row.answer.doubt ? "" : percent(row.answer.probability) }),
  ];
  const line = made("tr", {}, made("th", { scope: "row" }, button), ...answer);
  if (row === shown) line.setAttribute("aria-current", "true");
  row.line?.replaceWith(line);
  row.line = line;
  line.hidden = !passes(row);
  return line;
}

const keyOf = (row) => (row.reason ? "-" : row.answer.doubt ?? String(row.answer.place));
const passes = (row) => ["", keyOf(row)].includes(find("filter").value);

function countRows() {
  const done = rows.filter((row) => row.reason || row.result), counts = new Map();
  for (const row of done) counts.set(keyOf(row), (counts.get(keyOf(row)) ?? 0) + 1);
  const names = new Map([...data.shown.map((name, place) => [String(place), name]), ...Object.entries(data.doubts).map(([key, doubt]) => [key, doubt.shown]), ["-", _("could not be read")]]);
  const value = find("filter").value;
  const options = [...names].filter(([key]) => counts.has(key)).map(([key, name]) => new Option(`${name} (${counts.get(key)})`, key));
  find("filter").replaceChildren(new Option(`${_("all")} (${done.length})`, ""), ...options);
  find("filter").value = counts.has(value) ? value : "";
  find("many").hidden = rows.length < 2;
  find("download").disabled = isBusy;
  find("stop").hidden = !isBusy;
}

async function answerRow(row) {
  const started = performance.now();
  try {
    if (!session) throw new Error(state.reason);
    row.result = await runNetwork(await readPhoto(row.file));
    row.answer = decide(row.result, settings());
    row.seconds = (performance.now() - started) / 1000;
  } catch (error) {
    row.reason = error instanceof UnreadableError ? error.message : _("This photo could not be answered: {reason}", { reason: error.message });
  }
}

async function answerPhotos(photos) {
  const added = photos.map(({ path, file }) => ({ path, file }));
  if (!added.length) return;
  camera.stop();
  rows.push(...added);
  if (isBusy || state.test === "running") return; // the loop that runs, or that starts after the test, takes them too
  await work();
}

async function work() {
  [isBusy, isStopped] = [true, false];
  const isOpen = (row) => !row.reason && !row.result;
  for (let row = rows.find(isOpen), first = true; row && !isStopped; row = rows.find(isOpen), first = false) {
    const place = rows.indexOf(row);
    if (rows.length > 1) say(_("Photo {place} of {num} …", { place: place + 1, num: rows.length }));
    await answerRow(row);
    if (!rows.includes(row)) continue; // all were cleared meanwhile
    find("lines").append(drawLine(row));
    if (first || !shown || rows.length === place + 1) showRow(row);
    if (place % 20 === 0 || rows.length < 20) countRows();
    await new Promise((resolve) => setTimeout(resolve)); // lets the browser draw
  }
  if (isStopped) rows.splice(0, rows.length, ...rows.filter((row) => !isOpen(row)));
  isBusy = false;
  countRows();
  const bad = rows.filter((row) => row.reason).length;
  say(rows.length < 2 ? "" : `${ngettext("{num} photo", "{num} photos", rows.length)}${bad ? `, ${ngettext("{num} could not be read", "{num} could not be read", bad)}` : ""}`);
}

function clearRows() {
  isStopped = true;
  rows.length = 0;
  shown = null;
  find("lines").replaceChildren();
  find("photo").hidden = find("heat").hidden = find("doubt").hidden = true;
  find("hint").hidden = false;
  find("picture").classList.remove("warm");
  find("name").textContent = find("answer").textContent = "";
  find("bars").replaceChildren();
  countRows();
  say("");
}

function decideAgain() {
  for (const [id, list] of [["not-sure", data.notSure], ["none-of-these", data.noneOfThese]]) find(`${id}-note`).textContent = list[find(id).value]?.note ?? "";
  for (const row of rows.filter((one) => one.result)) {
    row.answer = decide(row.result, settings());
    drawLine(row);
  }
  countRows();
  if (shown?.result) showAnswer(shown.result, shown.answer);
}

// The columns of `tellapart predict --csv`, and the reason of a photo without an answer.
function csvBytes() {
  const { hasDistance } = data;
  const header = ["path", "predicted_class", "probability", ...data.classes.map((name) => `p_${name}`), "nearest_class", ...(hasDistance ? ["distance"] : []), "answer", "reason"];
  const digits = (number) => (number === null ? "" : String(Number(number.toPrecision(6))));
  const lines = rows.filter((row) => row.reason || row.result).map(({ path, result, answer, reason }) => {
    if (reason) return [path, ...header.slice(2).map(() => ""), reason];
    const given = answer.doubt ? ["", ""] : [data.classes[answer.place], digits(answer.probability)];
    const distance = hasDistance ? [digits(result.distance)] : [];
    return [path, ...given, ...result.probabilities.map(digits), data.classes[answer.nearest], ...distance, answer.doubt ? data.doubts[answer.doubt].name : data.classes[answer.place], ""];
  });
  const isFormula = (text) => /^'*[=+\-@\t\r]/.test(text) && !/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text);
  const cell = (text) => {
    const safe = isFormula(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return `\ufeff${[header, ...lines].map((line) => `${line.map(cell).join(",")}\n`).join("")}`;
}

function download() {
  const link = made("a", { href: URL.createObjectURL(new Blob([csvBytes()], { type: "text/csv" })), download: "answers.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function startCamera() {
  const video = find("video");
  try {
    await camera.start(() => say(_("The camera has stopped. Check its cable, and start it again."), "problem"));
  } catch {
    say(_("The camera cannot be used. Allow the camera in the browser, or choose a photo."), "problem");
    return;
  }
  if (!camera.isOn) return;
  shown?.line?.removeAttribute("aria-current");
  shown = null;
  find("photo").hidden = find("hint").hidden = true;
  find("name").textContent = "";
  await camera.watch(async () => {
    const result = await runNetwork(putOnGround(drawnPixels(video, video.videoHeight, video.videoWidth)));
    if (camera.isOn) showAnswer(result, decide(result, settings()));
    return 50;
  });
}

// Files that systems leave in folders are no photos of anybody's.
const isOfUser = ({ path }) => !path.split("/").some((part) => part.startsWith(".") || ["Thumbs.db", "desktop.ini"].includes(part));
const listed = (files) => [...files].map((file) => ({ path: file.webkitRelativePath || file.name, file })).filter(isOfUser);

async function readEntry(entry, path = entry.name) {
  if (entry.isFile) return [{ path, file: await new Promise((resolve, reject) => entry.file(resolve, reject)) }];
  const reader = entry.createReader(), photos = [];
  for (;;) {
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return photos;
    for (const one of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) photos.push(...await readEntry(one, `${path}/${one.name}`));
  }
}

async function takeTransfer(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file").map((item) => [item.webkitGetAsEntry?.(), item.getAsFile()]);
  const photos = [];
  for (const [entry, file] of items) {
    try {
      photos.push(...(entry?.isDirectory ? await readEntry(entry) : [{ path: file.name, file }]));
    } catch {
      say(_("This browser does not open dropped folders here. Use the button for a folder."), "problem");
    }
  }
  await answerPhotos(photos.filter(isOfUser));
}

function fillSettings() {
  for (const [id, list, words] of [["not-sure", data.notSure, _("at most {rate} wrong")], ["none-of-these", data.noneOfThese, _("{rate} false alarms")]]) {
    find(id).replaceChildren(new Option(_("off"), "-1"), ...list.map((one, place) => new Option(filled(words, { rate: one.rate }), place)).filter((option) => list[option.value].threshold !== null));
    find(id).value = String(list.findIndex((one) => one.isDefault));
    find(`${id}-label`).hidden = find(id).options.length < 2;
  }
}

function listen() {
  find("files").addEventListener("change", async ({ target }) => {
    const photos = listed(target.files);
    target.value = "";
    await answerPhotos(photos);
  });
  find("folder").addEventListener("change", async ({ target }) => {
    const photos = listed(target.files);
    target.value = "";
    await answerPhotos(photos);
  });
  find("camera").addEventListener("click", () => (camera.isOn ? camera.stop() : startCamera()));
  find("with-heat").addEventListener("change", () => shown?.result && showHeat(shown.result, shown.answer));
  find("not-sure").addEventListener("change", decideAgain);
  find("none-of-these").addEventListener("change", decideAgain);
  find("filter").addEventListener("change", () => rows.forEach((row) => row.line && (row.line.hidden = !passes(row))));
  find("download").addEventListener("click", download);
  find("clear").addEventListener("click", clearRows);
  find("stop").addEventListener("click", () => { isStopped = true; });
  listenForPhotos(find("drop"), takeTransfer);
}

async function start() {
  find("old").remove();
  find("app").hidden = false;
  fillSettings();
  decideAgain();
  listen();
  say(_("Loading the network …"));
  try {
    await openNetwork();
    say(_("Testing this browser with a drawn photo …"));
    state.difference = await testPage();
    state.test = "passed";
    find("test").textContent = _("Tested when it opened: this browser gives the answers of the original model.");
    say("");
  } catch (error) {
    state.test = "failed";
    state.reason = error.message;
    find("trust").textContent = _("Do not trust the answers of this page here. {reason}", { reason: error.message });
    find("trust").hidden = false;
    say("");
  }
  if (session && rows.length) await work();
}

start();
