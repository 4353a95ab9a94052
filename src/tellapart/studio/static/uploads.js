// Files on their way to the server: dropped, chosen, pasted or recorded, a few at a time. A folder names a class.
// @ts-check
import { send } from "./api.js";
import { classes, command, loadAll, say, sayError } from "./store.js";
import { _, ngettext } from "./translation.js";
import { signal } from "./vendor/signals.js";

/** @typedef {{file: File | Blob, name: string, folder: string, burst?: string}} Item */

const MOST_AT_ONCE = 3;
// Files that come this soon after others are counted with them, as the frames of a recording are.
const TOGETHER_MS = 1500;
// What systems leave in folders, and nobody means.
const LITTER = /^(\.|__MACOSX|Thumbs\.db$|desktop\.ini$)/i;

// The folders of a zip name classes too; what is in none is unsorted.
const ZIP = /\.zip$/i;
const BY_FOLDER = "folders";

/** How many files there are, are done, and were not taken. */
export const progress = signal({ total: 0, done: 0, added: 0 });
/** Files that were not taken, each with the reason. @type {import("./vendor/signals.js").Signal<{name: string, reason: string}[]>} */
export const skipped = signal([]);

/** @type {{item: Item, to: string}[]} */
const waiting = [];
let running = 0;
let finished = -Infinity;

/**
 * Everything that a drop holds, folders unfolded.
 * @param {DataTransfer} transfer
 * @returns {Promise<Item[]>}
 */
export async function itemsOf(transfer) {
  const entries = [...transfer.items].filter((one) => one.kind === "file").map((one) => one.webkitGetAsEntry?.() ?? one.getAsFile());
  const found = [];
  for (const entry of entries) {
    if (entry instanceof File) found.push({ file: entry, name: entry.name, folder: "" });
    else if (entry) await walk(entry, "", found);
  }
  return found.length ? found : filesOf(transfer.files);
}

/** @param {FileSystemEntry} entry @param {string} folder @param {Item[]} found */
async function walk(entry, folder, found) {
  if (LITTER.test(entry.name)) return;
  if (entry.isFile) {
    const one = /** @type {FileSystemFileEntry} */ (entry);
    const file = await new Promise((resolve, reject) => one.file(resolve, reject));
    found.push({ file, name: entry.name, folder });
    return;
  }
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  for (;;) {
    // A browser gives at most a hundred at a time.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const one of some) await walk(one, entry.name, found);
  }
}

/** Files as a file chooser gives them, with their folder where a folder was chosen. @param {Iterable<File>} files @returns {Item[]} */
export const filesOf = (files) =>
  [...files]
    .filter((file) => !LITTER.test(file.name))
    .map((file) => ({ file, name: file.name, folder: file.webkitRelativePath.split("/").at(-2) ?? "" }));

/**
 * Sends the files: those of a folder into the class of its name, which is made, all others into `to`.
 * @param {Item[]} items
 * @param {string} to id of a class, or "unsorted"
 * @param {boolean} [isOneClass] whether folders name nothing, and all files go into `to`
 */
export async function upload(items, to, isOneClass = false) {
  if (!items.length) return;
  /** @type {Map<string, string>} */
  const ids = new Map();
  for (const item of items) {
    if (!isOneClass && !item.folder && ZIP.test(item.name)) {
      waiting.push({ item, to: BY_FOLDER });
      continue;
    }
    const folder = isOneClass ? "" : item.folder;
    if (!ids.has(folder)) ids.set(folder, (folder && (await classNamed(folder))) || to);
    waiting.push({ item, to: ids.get(folder) ?? to });
  }
  if (progress.value.done === progress.value.total && performance.now() - finished > TOGETHER_MS) {
    progress.value = { total: 0, done: 0, added: 0 };
    skipped.value = [];
  }
  progress.value = { ...progress.value, total: progress.value.total + items.length };
  while (running < MOST_AT_ONCE && waiting.length) run();
}

/** The id of the class with this name, made where there is none; nothing where it cannot be made. @param {string} name @returns {Promise<string | undefined>} */
export const classNamed = async (name) =>
  classes().find((one) => one.name === name)?.id ?? (await command({ do: "add_class", name }))?.class;

async function run() {
  running++;
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const { item, to } = next;
    const query = new URLSearchParams({ class: to, name: item.name });
    if (item.burst) query.set("burst", item.burst);
    let added = 0;
    try {
      const answer = await send(`/api/uploads?${query}`, item.file);
      added = answer.added.length;
      skipped.value = [...skipped.value, ...answer.skipped];
    } catch (error) {
      skipped.value = [...skipped.value, { name: item.name, reason: error instanceof Error ? error.message : String(error) }];
      if (/** @type {any} */ (error).status === 401) sayError(error);
    }
    progress.value = { ...progress.value, done: progress.value.done + 1, added: progress.value.added + added };
  }
  running--;
  if (!running) finish();
}

function finish() {
  finished = performance.now();
  const { added } = progress.value;
  const num = skipped.value.length;
  const text = ngettext("{num} photo added.", "{num} photos added.", added);
  say(num ? `${text} ${ngettext("{num} file was not added.", "{num} files were not added.", num)}` : text, num > 0);
  loadAll();
}

/** A key that the frames of one recording share. */
export const newBurst = () => [...crypto.getRandomValues(new Uint8Array(8))].map((one) => one.toString(16).padStart(2, "0")).join("");
