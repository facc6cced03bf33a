// The terminal's connection and keys, without a page.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { control, KeyBar, sequence } from "../../dashboard/static/js/key_bar.js";
import { explain } from "../../dashboard/static/js/terminal_errors.js";
import { TerminalLink } from "../../dashboard/static/js/terminal_link.js";
import { useTexts } from "../../dashboard/static/js/texts.js";

useTexts(JSON.parse(readFileSync(new URL("../../dashboard/locales/en.json", import.meta.url), "utf-8")), "en");

/** A link with sockets and timers that the test moves. */
function world() {
  const happened = [];
  /** @type {any[]} */
  const sockets = [];
  /** @type {any[]} */
  const timers = [];
  const link = new TerminalLink(
    "ws://hub/ws/terminal",
    7,
    {
      ready: (frame, again, missing) => happened.push(["ready", frame.user, again, ...(missing ? [missing] : [])]),
      bytes: (bytes) => happened.push(["bytes", Buffer.from(bytes).toString()]),
      moved: () => {},
      lost: () => happened.push(["lost"]),
      over: (code, exit, missing) => happened.push(["over", code, exit, ...(missing ? [missing] : [])]),
    },
    {
      open: () => {
        /** @type {any} */
        const socket = {
          sent: [],
          readyState: 1,
          send: (data) => {
            if (typeof data !== "string") socket.sent.push(Buffer.from(data).toString());
            else if (JSON.parse(data).type !== "received") socket.sent.push(JSON.parse(data));
            else socket.received = JSON.parse(data).bytes;
          },
          close: () => {
            socket.closed = true;
          },
        };
        sockets.push(socket);
        return socket;
      },
      later: (fn) => timers.push(fn) - 1,
      cancel: (timer) => {
        delete timers[Number(timer)];
      },
      random: () => 0,
    },
  );
  const ready = (socket, terminal = "t1", more = {}) =>
    frame(socket, { type: "ready", terminal, recorded: true, user: "svc", from: link.received, ...LIMITS, ...more });
  const frame = (socket, message) => socket.onmessage({ data: JSON.stringify(message) });
  const bytes = (socket, text) => socket.onmessage({ data: new TextEncoder().encode(text).buffer });
  /** The timer that was set last. */
  const fire = () => {
    const at = timers.findLastIndex(Boolean);
    const act = timers[at];
    delete timers[at];
    act();
  };
  return { link, happened, sockets, timers, fire, ready, frame, bytes };
}

/** A hub that has taken nothing yet, of which pieces and window are small. */
const LIMITS = { typed: 0, passed: 0, max_bytes: 4000, window: 8000 };

test("a terminal opens with its size, types bytes and is told a new size", () => {
  const { link, happened, sockets, ready, bytes } = world();
  link.start(80, 24);
  const [socket] = sockets;
  assert.equal(link.type("x"), false, "nothing is typed before the hub is ready");
  socket.onopen();
  assert.deepEqual(socket.sent, [{ type: "open", session: 7, cols: 80, rows: 24 }]);
  ready(socket);
  link.type("é");
  link.resize(100, 30);
  bytes(socket, "hello");
  assert.deepEqual(socket.sent.slice(1), ["é", { type: "resize", cols: 100, rows: 30 }]);
  assert.deepEqual(happened, [
    ["ready", "svc", false],
    ["bytes", "hello"],
  ]);
});

test("a lost connection comes back to the same shell and says how much it has", () => {
  const { link, happened, sockets, fire, ready, bytes } = world();
  link.start(80, 24);
  sockets[0].onopen();
  ready(sockets[0]);
  bytes(sockets[0], "12345");
  sockets[0].onclose({ code: 1006 });
  assert.deepEqual(happened.at(-1), ["lost"]);
  assert.equal(link.type("x"), false);
  link.resize(90, 20);
  fire();
  sockets[1].onclose({ code: 1006 });
  assert.equal(happened.filter(([what]) => what === "lost").length, 1, "it is reported once");
  link.retry();
  sockets[2].onopen();
  assert.deepEqual(sockets[2].sent, [{ type: "attach", terminal: "t1", received: 5 }]);
  ready(sockets[2]);
  assert.deepEqual(sockets[2].sent.at(-1), { type: "resize", cols: 90, rows: 20 });
  bytes(sockets[2], "6");
  assert.equal(link.received, 6);
  bytes(sockets[0], "a dead socket says nothing");
  assert.equal(link.received, 6);
});

test("silence is asked about; a line that does not answer is lost, and so is one that cannot be made again", () => {
  const { link, happened, sockets, fire, ready, frame } = world();
  link.start(80, 24);
  sockets[0].onopen();
  ready(sockets[0]);
  fire();
  assert.deepEqual(sockets[0].sent.at(-1), { type: "ping", n: 1 });
  frame(sockets[0], { type: "pong", n: 1 });
  link.retry();
  assert.deepEqual(sockets[0].sent.at(-1), { type: "ping", n: 2 }, "who comes back asks at once");
  fire();
  assert.deepEqual([sockets[0].closed, happened.at(-1)], [true, ["lost"]]);
  fire();
  fire();
  assert.equal(sockets[1].closed, true);
  fire();
  sockets[2].onopen();
  assert.equal(sockets[2].sent[0].type, "attach");
});

test("keys that did not arrive are counted and not typed later; those that did are not counted", () => {
  const { link, happened, sockets, ready, frame } = world();
  link.start(80, 24);
  sockets[0].onopen();
  ready(sockets[0]);
  link.type("ls\r");
  frame(sockets[0], { type: "passed", bytes: 3 });
  link.type("cd ");
  link.type("/tmp/\u00e9");
  sockets[0].onclose({ code: 1006 });
  link.retry();
  sockets[1].onopen();
  ready(sockets[1], "t1", { typed: 6, passed: 3 });
  assert.deepEqual(happened.at(-1), ["ready", "svc", true, 6], "the hub has `cd `; /tmp/\u00e9 is missing");
  link.type("x");
  assert.equal(sockets[1].sent.at(-1), "x");
  assert.deepEqual([link.input.passed, link.input.sent], [3, 7]);
  frame(sockets[1], { type: "ended", code: "exited" });
  assert.deepEqual(happened.at(-1), ["over", "exited", null, 4]);
});

test("a paste goes in pieces as the hub takes them, and goes on after a loss without a byte too many or too few", () => {
  const { link, happened, sockets, ready, frame } = world();
  const text = Array.from({ length: 9000 }, (_, i) => `${i}\u00e9`).join();
  const whole = Buffer.from(text);
  link.start(80, 24);
  sockets[0].onopen();
  ready(sockets[0]);
  const begun = sockets[0].sent.length;
  const raw = (socket) => {
    const taken = [];
    const { send } = socket;
    socket.send = (data) => (typeof data === "string" ? send(data) : taken.push(Buffer.from(data)));
    return taken;
  };
  const first = raw(sockets[0]);
  link.type(text);
  assert.deepEqual([first.map((each) => each.length), sockets[0].sent.length], [[4000, 4000], begun]);
  frame(sockets[0], { type: "passed", bytes: 4000 });
  assert.equal(first.length, 3);
  sockets[0].onclose({ code: 1006 });
  link.retry();
  sockets[1].onopen();
  const second = raw(sockets[1]);
  ready(sockets[1], "t1", { typed: 8000, passed: 5000 });
  assert.deepEqual(happened.at(-1), ["ready", "svc", true], "nothing is missing");
  for (let passed = 8000; passed < whole.length; passed += 4000) frame(sockets[1], { type: "passed", bytes: passed });
  frame(sockets[1], { type: "passed", bytes: whole.length });
  assert.ok(Buffer.concat([...first.slice(0, 2), ...second]).equals(whole));
  assert.deepEqual([link.input.paste, link.input.total], [null, whole.length]);
});

test("a paste that is stopped ends at a whole character and leaves no paste mode behind", () => {
  const { link, sockets, ready, frame } = world();
  link.start(80, 24);
  ready(sockets[0], "t1", { max_bytes: 4001, window: 4001 });
  link.type(`\x1b[200~${"\u00e9".repeat(5000)}\x1b[201~`);
  assert.equal(sockets[0].sent.length, 1);
  link.stop();
  frame(sockets[0], { type: "passed", bytes: 4001 });
  assert.equal(link.input.paste, null);
  const { rest } = link.input;
  assert.equal(Buffer.from(rest).toString("latin1"), "\xa9\x1b[201~", "the rest of a character, the end of the paste");
});

test("what the hub does not take ends the terminal, and is not tried again", () => {
  const { link, happened, sockets, timers, ready } = world();
  link.start(80, 24);
  ready(sockets[0]);
  sockets[0].onclose({ code: 4400 });
  assert.deepEqual(happened.at(-1), ["over", "not_taken", null]);
  assert.equal(timers.filter(Boolean).length, 0);
});

test("the hub is told what arrived, until the screen is far behind", () => {
  const { link, sockets, ready, bytes } = world();
  link.start(80, 24);
  ready(sockets[0]);
  for (let n = 0; n < 100; n += 1) bytes(sockets[0], "x".repeat(65536));
  assert.equal(sockets[0].received, 4 * 1024 * 1024);
  link.drew(100 * 65536);
  assert.equal(sockets[0].received, 100 * 65536);
});

test("what is over stays over, and says why", () => {
  /** @type {[(socket: any) => void, unknown[]][]} */
  const endings = [
    [(socket) => socket.onmessage({ data: '{"type":"ended","code":"exited","exit":3}' }), ["over", "exited", 3]],
    [(socket) => socket.onmessage({ data: '{"type":"error","code":"no_shell"}' }), ["over", "no_shell", null]],
    [(socket) => socket.onclose({ code: 4403 }), ["over", "denied", null]],
    [(socket) => socket.onclose({ code: 1006 }), ["over", "no_answer", null]],
  ];
  for (const [how, expected] of endings) {
    const { link, happened, sockets, timers } = world();
    link.start(80, 24);
    sockets[0].onopen();
    sockets[0].onmessage({ data: "not json" });
    how(sockets[0]);
    sockets[0].onclose({ code: 1006 });
    assert.deepEqual(happened, [expected]);
    assert.equal(timers.filter(Boolean).length, 0, "nothing tries again");
  }
});

test("a closed terminal can be opened anew", () => {
  const { link, happened, sockets, ready } = world();
  link.start(80, 24);
  ready(sockets[0]);
  link.end();
  link.start(80, 24);
  sockets[1].onopen();
  assert.equal(sockets[1].sent[0].type, "open");
  ready(sockets[1], "t2");
  assert.deepEqual(happened.at(-1), ["ready", "svc", false]);
});

test("the keys a phone lacks are what a terminal expects", () => {
  assert.deepEqual(
    ["esc", "tab", "interrupt", "bar", "slash", "minus"].map((key) => sequence(key)),
    ["\x1b", "\t", "\x03", "|", "/", "-"],
  );
  assert.deepEqual(
    [sequence("up"), sequence("up", { application: true }), sequence("left", { ctrl: true })],
    ["\x1b[A", "\x1bOA", "\x1b[1;5D"],
  );
  assert.deepEqual(["c", "C", "[", " ", "é", "ls"].map(control), ["\x03", "\x03", "\x1b", "\0", "é", "ls"]);
});

test("Ctrl holds for one key, whichever keyboard it comes from", () => {
  const sent = [];
  const buttons = ["esc", "ctrl", "up"].map((key) => ({
    dataset: { key },
    pressed: "false",
    listeners: {},
    addEventListener(name, act) {
      this.listeners[name] = act;
    },
    getAttribute: () => null,
    setAttribute(_, value) {
      this.pressed = value;
    },
  }));
  /** @type {any} */
  const root = { querySelectorAll: () => buttons, querySelector: () => buttons[1] };
  const bar = new KeyBar(root, { send: (text) => sent.push(text), paste() {}, application: () => false });
  let kept = false;
  buttons[0].listeners.pointerdown({
    preventDefault: () => {
      kept = true;
    },
  });
  assert.ok(kept, "pressing takes no focus");
  bar.press("ctrl");
  assert.equal(buttons[1].pressed, "true");
  assert.equal(bar.through("c"), "\x03");
  assert.equal(bar.through("c"), "c");
  bar.press("ctrl");
  bar.press("up");
  assert.deepEqual(sent, ["\x1b[1;5A"]);
});

test("every way a terminal ends is explained, and what nobody knows is too", () => {
  assert.equal(explain("no_shell").what, "The machine cannot start a shell");
  assert.equal(explain("timed_out").code, "lease_over");
  assert.equal(explain("lease_over").again, false);
  assert.equal(explain("exited", 3).what, "The shell ended with code 3");
  assert.equal(explain("exited", 0).what, "The shell has ended");
  for (const code of ["something new", "__proto__", "constructor", /** @type {any} */ (undefined)]) {
    const why = explain(code);
    assert.equal(typeof why.what, "string");
    assert.ok(why.what.length > 5 && why.hint.length > 5, String(code));
  }
});
