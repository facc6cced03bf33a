// One file on its way to the machine, with how far it is; and the words for amounts of bytes.

import { amount as amountIn, span } from "./format.js";
import { language, t } from "./texts.js";

const STEADY_MS = 5000;

/** @param {number} bytes */
export const amount = (bytes) => amountIn(bytes, language);

/**
 * How far it is; how long it still takes once the pace has been steady for a while.
 * @param {number} done @param {number} total @param {number} passedMs
 */
export function progress(done, total, passedMs) {
  const words = t("files.sent", { done: amount(done), total: amount(total) });
  if (passedMs < STEADY_MS || done === 0) return words;
  const pace = done / (passedMs / 1000);
  return `${words}, ${amount(pace)}/s, ${t("files.about", { span: span((total - done) / pace, language) })}`;
}

/**
 * `on.moved(done, total, ms)`; answers {ok, status, message}. `cancel()` on the answer's request stops it.
 * @param {string} address @param {File} file @param {{moved: (done: number, total: number, ms: number) => void}} on
 */
export function upload(address, file, on, request = new XMLHttpRequest()) {
  const began = performance.now();
  const answer = new Promise((done) => {
    request.upload.addEventListener("progress", (event) =>
      on.moved(event.loaded, file.size, performance.now() - began),
    );
    request.addEventListener("load", () =>
      done({ ok: request.status < 300, status: request.status, message: detail(request.responseText) }),
    );
    request.addEventListener("error", () => done({ ok: false, status: 0, message: t("fault.network") }));
    request.addEventListener("abort", () => done({ ok: false, status: 0, message: t("files.stopped") }));
  });
  request.open("POST", address);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.setRequestHeader("X-CSRF-Token", document.body.dataset.csrf ?? "");
  request.send(file);
  return { answer, cancel: () => request.abort() };
}

/** @param {string} text */
function detail(text) {
  try {
    const body = JSON.parse(text);
    // Of a path the hub speaks to programs; the page has words for what it shows.
    if (body.code) return t(`files.refused.${body.code}`);
    return Object.values(body.errors ?? {}).flat()[0] ?? body.detail ?? "";
  } catch {
    return "";
  }
}
