// Reads the code on a machine's label with the camera, where the browser can; the field is there without it.

import { find, setAttribute, setText, show } from "../dom.js";
import { frame } from "../frame.js";
import { keyboard } from "../keyboard.js";
import { t } from "../texts.js";

const LOOK_MS = 200;

frame();
keyboard({});
const [room, video] = [find("#camera"), /** @type {any} */ (find("#camera video"))];
const [button, fault, field] = [find("#camera button"), find("#camera [role=alert]"), find("#code")];
const { BarcodeDetector: Detector } = window;
/** @type {MediaStream | null} */
let stream = null;

function stop() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  draw();
}

function draw() {
  show(video, stream !== null);
  setAttribute(button, "aria-pressed", String(stream !== null));
  setText(find("span", button), t(stream ? "scan.stop" : "scan.start"));
}

async function start() {
  show(fault, false);
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    video.srcObject = stream;
    draw();
    await video.play();
    await look(stream, new /** @type {any} */ (Detector)({ formats: ["qr_code"] }));
  } catch (error) {
    stop();
    setText(
      find("[data-said]", fault),
      t(error instanceof DOMException && error.name === "NotAllowedError" ? "scan.denied" : "scan.broken"),
    );
    show(fault, true);
  }
}

/** Until it finds a code or somebody stops the camera. @param {MediaStream} mine @param {any} detector */
async function look(mine, detector) {
  while (stream === mine) {
    const [code] = await detector.detect(video);
    if (stream !== mine) return;
    if (code) {
      stop();
      field.value = code.rawValue;
      field.form.requestSubmit();
      return;
    }
    await new Promise((later) => setTimeout(later, LOOK_MS));
  }
}

if (Detector && navigator.mediaDevices) {
  show(room, true);
  button.addEventListener("click", () => (stream ? stop() : start()));
  document.addEventListener("visibilitychange", () => document.hidden && stop());
}
