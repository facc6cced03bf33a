// The files of a machine within a lease: what its declared folders hold, taking one out, putting one in.

import { sendCommand } from "./commands.js";
import { all, find, icon, make, setAttribute, setText, show } from "./dom.js";
import { day } from "./format.js";
import { language, t } from "./texts.js";
import { amount, progress, upload } from "./transfer.js";

/** The folder above, or null at the top of a declared one. @param {string} path @param {string[]} tops */
export function above(path, tops) {
  if (tops.includes(path)) return null;
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

/** @param {string} folder @param {string} name */
export const joined = (folder, name) => `${folder.replace(/\/$/, "")}/${name}`;

/** @typedef {{name: string, kind?: string, type?: string, directory?: boolean, size?: number, mtime?: number, unreachable?: boolean}} Entry */

export class FilesPanel {
  /** @param {Part} root @param {{machine: number, session: number, zone: string, now: () => number}} of */
  constructor(root, of) {
    this.root = root;
    this.path = "";
    this.machine = of.machine;
    this.session = of.session;
    this.zone = of.zone;
    this.now = of.now;
    /** @type {ReturnType<typeof upload> | null} */
    this.sending = null;
    this.tops = JSON.parse(root.dataset.download);
    for (const button of all("[data-folder]", root))
      button.addEventListener("click", () => this.list(button.dataset.folder));
    this.form = find("[data-upload]", root);
    this.form?.addEventListener("submit", (event) => this.send(event));
    find("[data-stop]", root)?.addEventListener("click", () => this.sending?.cancel());
  }

  /** @param {string} what @param {string} [query] */
  address(what, query = "") {
    return `${BASE_PATH}/api/v2/rvms/${this.machine}/remote-access/files/${what}${query}`;
  }

  /** @param {string} path */
  async list(path) {
    this.fault("");
    setAttribute(this.root, "aria-busy", "true");
    const answer = await sendCommand(this.address("list"), { path, session_id: this.session });
    this.root.removeAttribute("aria-busy");
    if (!answer.ok) return this.fault(answer.message || t("fault.unknown"));
    this.path = path;
    setText(find("[data-path]", this.root), path);
    const up = above(path, this.tops);
    const entries = [...answer.data.entries].sort(
      (a, b) => Number(isFolder(b)) - Number(isFolder(a)) || a.name.localeCompare(b.name),
    );
    const rows = entries.map((entry) => this.row(entry));
    if (up !== null) rows.unshift(this.folderRow("..", up));
    find("tbody", this.root).replaceChildren(...rows);
    show(find("table", this.root), rows.length > 0);
    show(find("[data-empty]", this.root), rows.length === 0);
    return undefined;
  }

  /** @param {Entry} entry */
  row(entry) {
    const path = joined(this.path, entry.name);
    if (isFolder(entry) && !entry.unreachable) return this.folderRow(entry.name, path);
    const note = entry.unreachable ? [make("div", { class: "muted" }, t("files.unreachable"))] : [];
    const take = entry.unreachable ? [] : [this.takeForm(path, entry.name)];
    const when = entry.mtime ? day(entry.mtime * 1000, this.now(), this.zone, language) : "";
    return make(
      "tr",
      {},
      make("td", {}, make("bdi", {}, entry.name), ...note),
      make("td", { class: "num" }, amount(entry.size ?? 0)),
      make("td", {}, when),
      make("td", { class: "end" }, ...take),
    );
  }

  /** @param {string} path @param {string} name */
  takeForm(path, name) {
    const form = find("template", this.root).content.firstElementChild.cloneNode(true);
    form.elements.path.value = path;
    setAttribute(find("button", form), "aria-label", t("files.take", { name }));
    return form;
  }

  /** @param {string} name @param {string} path */
  folderRow(name, path) {
    const button = make(
      "button",
      { type: "button", class: "btn plain small" },
      icon("folder", "quiet"),
      make("bdi", {}, name),
    );
    button.addEventListener("click", () => this.list(path));
    return make("tr", {}, make("td", { colspan: "4" }, button));
  }

  /** @param {Event} event */
  async send(event) {
    event.preventDefault();
    const file = this.form.elements.file.files[0];
    if (!file || this.sending) return;
    const path = joined(this.form.elements.folder.value, file.name);
    const query = new URLSearchParams({
      path,
      session_id: String(this.session),
      ...(this.form.elements.overwrite.checked ? { overwrite: "true" } : {}),
    });
    this.fault("");
    setText(find("[data-saved]", this.root), "");
    this.moving(0, file.size, 0);
    this.sending = upload(this.address("upload", `?${query}`), file, {
      moved: (done, total, ms) => this.moving(done, total, ms),
    });
    const answer = await this.sending.answer;
    this.sending = null;
    show(find("[data-moving]", this.root), false);
    if (!answer.ok) return void this.fault(answer.message || t("fault.unknown"));
    this.form.reset();
    setText(find("[data-saved]", this.root), t("files.saved", { path }));
    if (this.path && path.startsWith(this.path)) this.list(this.path);
  }

  /** @param {number} done @param {number} total @param {number} ms */
  moving(done, total, ms) {
    const node = find("[data-moving]", this.root);
    show(node, true);
    setText(find("[data-said]", node), progress(done, total, ms));
    const bar = find("progress", node);
    bar.max = total || 1;
    bar.value = done;
  }

  /** @param {string} words */
  fault(words) {
    setText(find("[data-fault]", this.root), words);
    show(find("[data-fault]", this.root), words !== "");
  }
}

/** @param {Entry} entry */
const isFolder = (entry) => entry.kind === "folder" || entry.type === "dir" || entry.directory === true;
