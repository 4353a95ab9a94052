// The camera: which there are, and frames of it, cut to the square in the middle that is shown and recorded alike.
// @ts-check
import { signal } from "./vendor/signals.js";
import { _ } from "./translation.js";

// Pixels of a side; networks see 224 to 384 of them.
const SIDE = 640;
const QUALITY = 0.9;

/** @type {import("./vendor/signals.js").Signal<{deviceId: string, label: string}[]>} */
export const cameras = signal([]);

export class Camera {
  /** @type {MediaStream | null} */
  #stream = null;
  #canvas = document.createElement("canvas");

  /** @param {HTMLVideoElement} video where it is shown */
  constructor(video) {
    this.video = video;
  }

  /**
   * Shows the camera; throws a line for the person where there is none.
   * @param {string} deviceId "" is any
   * @param {(error: Error) => void} onLost is called with a line for the person when the camera stops by itself
   */
  async open(deviceId, onLost) {
    this.close();
    if (!navigator.mediaDevices) throw new Error(_("This browser lets no page use the camera here. Choose photos instead."));
    const size = { width: { ideal: 1280 }, height: { ideal: 720 } };
    const which = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: "environment" };
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({ video: { ...size, ...which } });
    } catch {
      throw new Error(_("The camera cannot be used. Allow it in the browser, or choose photos instead."));
    }
    this.video.srcObject = this.#stream;
    const [track] = this.#stream.getVideoTracks();
    const lost = () => onLost(new Error(_("The camera has stopped. Check its cable, and start it again.")));
    track.addEventListener("ended", lost);
    if (track.readyState === "ended") lost();
    await this.video.play();
    const devices = await navigator.mediaDevices.enumerateDevices();
    cameras.value = devices.filter((one) => one.kind === "videoinput").map(({ deviceId, label }) => ({ deviceId, label }));
  }

  get isOpen() {
    return Boolean(this.#stream);
  }

  close() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
    this.video.srcObject = null;
  }

  /** The square in the middle of what the camera shows now, as a JPEG; null before the first picture. @returns {Promise<Blob | null>} */
  async frame() {
    const { videoWidth: width, videoHeight: height } = this.video;
    const side = Math.min(width, height);
    if (!this.#stream || !side) return null;
    this.#canvas.width = this.#canvas.height = Math.min(SIDE, side);
    const context = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext("2d"));
    context.drawImage(this.video, (width - side) / 2, (height - side) / 2, side, side, 0, 0, this.#canvas.width, this.#canvas.width);
    return new Promise((resolve) => this.#canvas.toBlob(resolve, "image/jpeg", QUALITY));
  }
}
