// What the page knows of the project, as signals, and the commands that change it. The server keeps the truth: after each
// command and each event the page asks for what it shows.
// @ts-check
import { ApiError, ask, listen, post, takeToken } from "./api.js";
import { query, view } from "./route.js";
import { _ } from "./translation.js";
import { batch, computed, effect, signal } from "./vendor/signals.js";

/**
 * @typedef {{id: string, name: string, num_photos: number, color_index: number}} PhotoClass
 * @typedef {{class: string, probability: number}} Proposal
 * @typedef {{id: string, digest: string | null, name: string, group: string | null, origin: string, problem: string | null, proposal: Proposal | null}} Photo
 * @typedef {{id: string, kind: string, run: string, run_id: string, recipe?: string, target?: string, state: string, stage: string, progress: number | null, message: string, epoch: number | null, num_epochs: number | null, seconds_left: number | null, can_pause: boolean, can_resume: boolean}} Job
 * @typedef {{state: string, accuracy: number | null, interval: [number, number] | null, is_provisional: boolean, num_photos: number, num_seconds: number, message: string, run: string | null, num_proposed: number}} Model
 */

/** @type {import("./vendor/signals.js").Signal<any>} */
export const project = signal(null);
/** "open", "away" while the server does not answer, "locked" without the token. */
export const connection = signal("away");
/** One line for the person, and whether something went wrong. @type {import("./vendor/signals.js").Signal<{text: string, isProblem: boolean} | null>} */
export const notice = signal(null);
/** The photos of the chosen collection, and which that is. @type {import("./vendor/signals.js").Signal<{of: string, list: Photo[]}>} */
export const photos = signal({ of: "", list: [] });
/** The checks of the photos. @type {import("./vendor/signals.js").Signal<any>} */
export const checks = signal(null);
/** The ids of the selected photos. @type {import("./vendor/signals.js").Signal<Set<string>>} */
export const selection = signal(new Set());
/** Place of the photo that the keys act on. */
export const cursor = signal(0);

/** @type {() => PhotoClass[]} */
export const classes = () => project.value?.classes ?? [];
/** @param {string} id */
export const classOf = (id) => classes().find((one) => one.id === id);

/** What Collect shows: the id of a class, "unsorted" or "bin"; "" where there is no class yet. */
export const chosen = computed(() => {
  const asked = query.value.get("class") ?? "";
  if (["unsorted", "bin"].includes(asked) || classOf(asked)) return asked;
  if (project.value?.num_unsorted && !classes().some((one) => one.num_photos)) return "unsorted";
  return classes()[0]?.id ?? "";
});

/** @param {string} text @param {boolean} [isProblem] */
export function say(text, isProblem = false) {
  notice.value = text ? { text, isProblem } : null;
}

/** @param {unknown} error */
export function sayError(error) {
  if (error instanceof ApiError && error.status === 401) connection.value = "locked";
  else if (error instanceof ApiError && error.status === 0) connection.value = "away";
  else say(error instanceof Error ? error.message : String(error), true);
}

/**
 * Runs one at a time, and once more where it was asked for meanwhile; done when nothing more is asked for.
 * @param {() => Promise<void>} load
 */
function latest(load) {
  /** @type {Promise<void> | null} */
  let running = null;
  let isStale = false;
  const run = async () => {
    while (isStale) {
      isStale = false;
      try {
        await load();
      } catch (error) {
        sayError(error);
      }
    }
    running = null;
  };
  return () => {
    isStale = true;
    running ??= run();
    return running;
  };
}

export const loadProject = latest(async () => {
  project.value = await ask("/api/project");
});

// Photos with a command on its way that takes them from where they are shown: the next key is meant for the next photo.
/** @type {Set<string>} */
const leaving = new Set();

export const loadPhotos = latest(async () => {
  const of = chosen.value;
  if (!of) {
    photos.value = { of, list: [] };
    return;
  }
  const answer = await ask(`/api/photos?class=${encodeURIComponent(of)}`);
  answer.photos = answer.photos.filter((/** @type {Photo} */ one) => !leaving.has(one.id));
  const isOther = photos.value.of !== of;
  batch(() => {
    photos.value = { of, list: answer.photos };
    const there = new Set(answer.photos.map((/** @type {Photo} */ one) => one.id));
    selection.value = new Set(isOther ? [] : [...selection.value].filter((id) => there.has(id)));
    cursor.value = isOther ? 0 : Math.max(0, Math.min(cursor.value, answer.photos.length - 1));
  });
});

/** The project first: the class that is shown may be gone. */
export async function loadAll() {
  await loadProject();
  await loadPhotos();
}

export const loadChecks = latest(async () => {
  checks.value = await ask("/api/check");
});

let last = Promise.resolve(/** @type {any} */ (null));

/** Takes photos from what is shown, until the command is done and the server says where they are. @param {string[]} ids */
function leave(ids) {
  const { of, list } = photos.value;
  ids.forEach((id) => leaving.add(id));
  const rest = list.filter((photo) => !leaving.has(photo.id));
  batch(() => {
    photos.value = { of, list: rest };
    selection.value = new Set([...selection.value].filter((id) => !leaving.has(id)));
    cursor.value = Math.max(0, Math.min(cursor.value, rest.length - 1));
  });
}

/**
 * What the server answers to a command, which it has on disk then; null where it refused, which the page says. Commands
 * reach the server in the order in which they were given.
 * @param {Record<string, unknown>} body
 */
export function command(body) {
  const ids = /** @type {string[]} */ (body.photos ?? []);
  if (["bin", "restore", "label"].includes(String(body.do)) && body.class !== chosen.value) leave(ids);
  last = last.then(async () => {
    try {
      const answer = await post("/api/commands", body);
      if (notice.value?.isProblem) say("");
      return answer;
    } catch (error) {
      sayError(error);
      return null;
    } finally {
      ids.forEach((id) => leaving.delete(id));
      await loadAll();
    }
  });
  return last;
}

/** @param {string[]} ids @param {string} classId @param {string} [batch] key of what is undone together */
export const label = (ids, classId, batch = "") => command({ do: "label", photos: ids, class: classId, batch });
/** @param {string[]} ids */
export const bin = (ids) => command({ do: "bin", photos: ids });
export const undo = async () => {
  if (!project.value?.can_undo) say(_("There is nothing to undo."));
  else if (await command({ do: "undo" })) say(_("Undone."));
};

// Of the time, loading after events takes a quarter at most: a recording changes the project many times a second.
const REST = 3;
const SHORTEST_REST_MS = 100;

/**
 * Runs at once, and again after a rest where it was asked for meanwhile.
 * @param {() => Promise<unknown>} load
 */
function restful(load) {
  let isBusy = false;
  let isStale = false;
  return async () => {
    isStale = true;
    if (isBusy) return;
    isBusy = true;
    while (isStale) {
      isStale = false;
      const begun = performance.now();
      await load();
      const rest = Math.max(SHORTEST_REST_MS, REST * (performance.now() - begun));
      await new Promise((resolve) => setTimeout(resolve, rest));
    }
    isBusy = false;
  };
}

const followProject = restful(loadAll);
const followChecks = restful(() => loadChecks());

let token = "";

/** Opens the session and listens; what the views show follows from then on. */
export async function start() {
  token = takeToken() || token;
  try {
    if (token) await post("/api/session", { token });
    project.value = await ask("/api/project");
  } catch (error) {
    sayError(error);
    if (connection.value !== "locked") setTimeout(start, 1000);
    return;
  }
  connection.value = "open";
  listen(
    {
      project: followProject,
      model: (/** @type {Model} */ model) => {
        const isOther = model.num_proposed !== project.value.model?.num_proposed;
        project.value = { ...project.value, model };
        if (isOther && chosen.value === "unsorted") loadPhotos();
        // What can be checked are the photos that the model has seen by now.
        if (view.value === "check") followChecks();
      },
      job: (job) => {
        const jobs = /** @type {Job[]} */ (project.value.jobs);
        const isKnown = jobs.some((one) => one.id === job.id);
        const changed = isKnown ? jobs.map((one) => (one.id === job.id ? job : one)) : [job, ...jobs];
        project.value = { ...project.value, jobs: changed };
      },
      check: () => view.value === "check" && loadChecks(),
    },
    (isOpen) => {
      if (connection.value === "locked") return;
      connection.value = isOpen ? "open" : "away";
      loadAll();
    },
  );
  effect(() => {
    if (chosen.value !== photos.peek().of) loadPhotos();
  });
}
