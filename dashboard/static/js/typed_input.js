// What was typed into a terminal and is not with the machine yet: sent in pieces, no more at once than the hub takes, and
// counted, so that after a loss it is known what arrived. Pure.

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const PASTE_END = "\x1b[201~";
/** Input of more bytes at once is a paste: its progress is shown, it can be stopped, and it goes on after a loss. */
const PASTE_FROM = 4096;

export class TypedInput {
  constructor() {
    /** Positions are counts of bytes since the terminal began; `rest` is what lies between `passed` and `total`. */
    this.rest = new Uint8Array();
    this.passed = 0;
    this.sent = 0;
    /** @type {{from: number, to: number} | null} */
    this.paste = null;
  }

  get total() {
    return this.passed + this.rest.length;
  }

  /** @param {string | Uint8Array} typed */
  add(typed) {
    const bytes = typeof typed === "string" ? encoder.encode(typed) : typed;
    if (bytes.length > PASTE_FROM) this.paste = { from: this.paste?.from ?? this.total, to: this.total + bytes.length };
    const all = new Uint8Array(this.rest.length + bytes.length);
    all.set(this.rest);
    all.set(bytes, this.rest.length);
    this.rest = all;
  }

  /** The next piece that may be sent now; null: none, or the hub has to take some first. @param {number} most @param {number} window */
  next(most, window) {
    const room = Math.min(most, this.passed + window - this.sent);
    const piece = this.rest.subarray(this.sent - this.passed, this.sent - this.passed + Math.max(0, room));
    this.sent += piece.length;
    return piece.length ? piece : null;
  }

  /** The machine has taken so many bytes in all. @param {number} count */
  took(count) {
    this.rest = this.rest.subarray(count - this.passed);
    this.passed = count;
    if (this.paste && count >= this.paste.to) this.paste = null;
  }

  /**
   * There is a connection again: the machine has `passed` bytes, the hub `typed`. A paste goes on from there; keys that did
   * not arrive are dropped, as nobody saw what they would have done. Answers how many characters those were.
   * @param {number} passed @param {number} typed
   */
  resume(passed, typed) {
    this.took(passed);
    this.sent = typed;
    return this.paste ? 0 : this.drop();
  }

  /** Nobody takes it any more; answers how many characters the machine does not have. */
  over() {
    this.sent = this.passed;
    return this.drop();
  }

  /** Forget what was not sent; answers how many characters that was. */
  drop() {
    const kept = this.sent - this.passed;
    const dropped = decoder.decode(this.rest.subarray(kept)).length;
    this.rest = this.rest.slice(0, kept);
    this.paste = null;
    return dropped;
  }

  /** End a paste where it is, at the end of a character; a bracketed one is closed. What was typed after it goes with it. */
  stop() {
    if (!this.paste) return;
    const tail = this.rest.subarray(this.sent - this.passed);
    const end = this.paste.to - this.sent;
    const bracketed = decoder.decode(tail.subarray(end - PASTE_END.length, end)) === PASTE_END;
    let rest = 0;
    while (rest < tail.length && (tail[rest] & 0xc0) === 0x80) rest += 1;
    const begun = tail.slice(0, rest);
    this.drop();
    this.add(begun);
    if (bracketed) this.add(PASTE_END);
  }
}
