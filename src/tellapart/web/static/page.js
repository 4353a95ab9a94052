// The page to try photos: a photo comes from a drop, the clipboard, a file or the camera, and its answer goes to the bars.

import { Camera, listenForPhotos } from "./photo_input.js";

const find = (id) => document.getElementById(id);
const words = find("words").dataset;
const MOST_BARS = 10;
const CAMERA_SIDE = 640;

let models = [];
let token = sessionStorage.getItem("token") ?? "";
let shownPhoto = null;
const camera = new Camera(find("video"), find("camera"));
let asked = 0;

function showError(text) {
  find("error").textContent = text;
  find("error").hidden = !text;
}

async function ask(address, settings = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(address, { ...settings, headers });
  } catch {
    throw new Error(words.noServer);
  }
  find("token-form").hidden = response.status !== 401;
  const answer = await response.json();
  if (!response.ok) {
    throw Object.assign(new Error(answer.error), { retrySeconds: Number(response.headers.get("Retry-After")) });
  }
  return answer;
}

async function loadModels() {
  try {
    models = (await ask("/models")).models;
    find("model").replaceChildren(...models.map((model) => new Option(model.name, model.name)));
    chooseModel();
    showError("");
  } catch (error) {
    showError(error.message);
  }
}

function chosenModel() {
  return models.find((model) => model.name === find("model").value);
}

function chooseModel() {
  find("heat-label").hidden = !chosenModel()?.has_heatmaps;
  if (shownPhoto) answerPhoto(shownPhoto);
}

function bar(name) {
  const row = document.createElement("li");
  const [label, number, track, fill] = ["span", "span", "div", "div"].map((tag) => document.createElement(tag));
  label.textContent = name;
  track.className = "track";
  fill.className = "fill";
  track.append(fill);
  row.append(label, number, track);
  row.dataset.name = name;
  return row;
}

function percent(probability) {
  // Never 100% for what is below 1.
  const shown = Math.min(probability, probability < 1 ? 0.999 : 1);
  return `${(Math.floor(shown * 1000) / 10).toFixed(1)}%`;
}

function showAnswer(answer) {
  const sorted = Object.entries(answer.probabilities).sort((one, other) => other[1] - one[1]).slice(0, MOST_BARS);
  const rows = new Map([...find("bars").children].map((row) => [row.dataset.name, row]));
  find("bars").replaceChildren(...sorted.map(([name]) => rows.get(name) ?? bar(name)));
  find("bars").getBoundingClientRect(); // so that a new bar grows from nothing
  for (const [place, [name, probability]] of sorted.entries()) {
    const row = find("bars").children[place];
    row.children[1].textContent = percent(probability);
    row.querySelector(".fill").style.width = `${probability * 100}%`;
  }
  find("answer").textContent = answer.class === null ? answer.answer : `${answer.answer}, ${percent(answer.probability)}`;
  find("answer").classList.toggle("unsure", answer.class === null);
  find("doubt").hidden = answer.class !== null;
  find("heat").hidden = !answer.heatmap;
  find("picture").classList.toggle("warm", Boolean(answer.heatmap));
  if (answer.heatmap) find("heat").src = `data:image/png;base64,${answer.heatmap}`;
}

async function answerPhoto(photo) {
  const number = ++asked;
  const query = new URLSearchParams({ model: find("model").value });
  if (find("with-heat").checked && chosenModel()?.has_heatmaps) query.set("heatmap", "1");
  try {
    const answer = await ask(`/predict?${query}`, { method: "POST", body: photo });
    if (number !== asked) return 0; // a later photo was asked about meanwhile
    showAnswer(answer);
    showError("");
    return 0;
  } catch (error) {
    if (number === asked) showError(error.message);
    return error.retrySeconds || 1;
  }
}

function showPhoto(photo) {
  if (!photo) return;
  stopCamera();
  shownPhoto = photo;
  const image = find("photo");
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(photo);
  image.hidden = false;
  image.onerror = () => { image.hidden = true; }; // a kind that the browser cannot show, and the server may read
  find("hint").hidden = true;
  answerPhoto(photo);
}

async function startCamera() {
  const video = find("video");
  try {
    await camera.start(() => {
      asked++;
      showError(words.cameraStopped);
    });
  } catch {
    showError(words.noCamera);
    return;
  }
  if (!camera.isOn) return;
  shownPhoto = null;
  find("photo").hidden = find("hint").hidden = true;
  const canvas = document.createElement("canvas");
  await camera.watch(async () => {
    const scale = Math.min(1, CAMERA_SIDE / Math.max(video.videoWidth, video.videoHeight));
    canvas.width = Math.max(1, Math.round(video.videoWidth * scale));
    canvas.height = Math.max(1, Math.round(video.videoHeight * scale));
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    const frame = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
    const pause = camera.isOn && frame ? await answerPhoto(frame) : 1;
    return pause * 1000 || 100;
  });
}

function stopCamera() {
  camera.stop();
  asked++;
}

function firstFile(transfer) {
  const file = [...transfer.files][0];
  if (!file) showError(words.noPhoto);
  return file;
}

find("model").addEventListener("change", chooseModel);
find("with-heat").addEventListener("change", () => shownPhoto && answerPhoto(shownPhoto));
find("file").addEventListener("change", (event) => showPhoto(event.target.files[0]));
find("camera").addEventListener("click", () => (camera.isOn ? stopCamera() : startCamera()));
find("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = find("token").value.trim();
  sessionStorage.setItem("token", token);
  loadModels();
});
listenForPhotos(find("drop"), (transfer) => showPhoto(firstFile(transfer)));
loadModels();
