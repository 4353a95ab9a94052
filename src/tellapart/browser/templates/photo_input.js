// Where the photos of a page come from besides a choice: a drop, the clipboard, the camera. The page of a server imports
// this, and an exported page holds it.

// Gives take the DataTransfer of whatever is dropped on the page or pasted into it; the element shows where to drop.
export function listenForPhotos(element, take) {
  document.addEventListener("paste", ({ clipboardData }) => {
    if ([...clipboardData.items].some((item) => item.kind === "file")) take(clipboardData);
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    element.classList.add("over");
  });
  document.addEventListener("dragleave", () => element.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    element.classList.remove("over");
    take(event.dataTransfer);
  });
}

// The camera in a video element, with the button that starts and stops it.
export class Camera {
  #video;
  #button;
  #stream = null;

  constructor(video, button) {
    this.#video = video;
    this.#button = button;
  }

  get isOn() {
    return this.#stream !== null;
  }

  // Rejects where the camera cannot be used. Calls onEnd when it stops by itself.
  async start(onEnd) {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    this.#stream = this.#video.srcObject = stream;
    stream.getVideoTracks()[0].addEventListener("ended", () => {
      this.stop();
      onEnd();
    });
    try {
      await this.#video.play();
    } catch (error) {
      if (stream !== this.#stream) return;
      this.stop();
      throw error;
    }
    if (stream !== this.#stream) return; // stopped meanwhile
    this.#video.hidden = false;
    this.#button.setAttribute("aria-pressed", "true");
  }

  // Calls answer, which gives the milliseconds to wait, again and again until the camera stops.
  async watch(answer) {
    const stream = this.#stream;
    while (stream && stream === this.#stream) {
      const pause = await answer();
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  stop() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
    this.#video.hidden = true;
    this.#button.setAttribute("aria-pressed", "false");
  }
}
