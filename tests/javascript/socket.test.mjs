import assert from "node:assert/strict";
import test from "node:test";

import { delay } from "../../dashboard/static/js/backoff.js";
import { Feed } from "../../dashboard/static/js/feed.js";
import { Socket } from "../../dashboard/static/js/socket.js";

/** A world without time: timers are fired by the test. */
function world(signedIn = () => Promise.resolve(true)) {
  /** @type {any} */
  const made = { links: [], timers: new Map(), states: [], frames: [], opened: 0, next: 1, now: 0 };
  const on = {
    state: (state) => made.states.push(state),
    frame: (frame) => made.frames.push(frame),
    opened: () => (made.opened += 1),
  };
  made.socket = new Socket("ws://hub/ws/dashboard", on, {
    open: () => {
      /** @type {any} */
      const link = {
        readyState: 1,
        sent: [],
        closed: false,
        send: (text) => link.sent.push(JSON.parse(text)),
        close: () => (link.closed = true),
      };
      made.links.push(link);
      return link;
    },
    later: (fn, ms) => {
      made.timers.set(made.next, { fn, ms });
      return made.next++;
    },
    cancel: (timer) => made.timers.delete(timer),
    random: () => 1,
    now: () => made.now,
    signedIn,
  });
  made.fire = (ms) => {
    const [key, timer] = [...made.timers].find(([, each]) => each.ms === ms);
    made.timers.delete(key);
    timer.fn();
  };
  made.hello = () => made.links.at(-1).onmessage({ data: '{"type":"hello","hub_time":1}' });
  return made;
}

test("the waits grow to 15 s and are spread by chance", () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 99].map((n) => delay(n, () => 1)),
    [500, 1000, 2000, 4000, 8000, 15000, 15000],
  );
  assert.equal(
    delay(5, () => 0),
    7500,
  );
});

test("hello makes it live, a close makes it lost, and it comes back by itself", () => {
  const w = world();
  w.socket.start();
  w.hello();
  w.links[0].onclose({ code: 1006 });
  w.fire(500);
  w.links[1].onclose({ code: 1006 });
  w.fire(1000);
  w.hello();
  assert.deepEqual([w.states, w.opened, w.links.length], [["live", "lost", "live"], 2, 3]);
});

test("a connection that the hub ends as soon as it is made is tried ever more slowly; one that lasted begins anew", () => {
  const w = world();
  w.socket.start();
  for (const wait of [500, 1000, 2000, 4000]) {
    w.hello();
    w.links.at(-1).onclose({ code: 1008 });
    w.fire(wait);
  }
  w.hello();
  w.now += 10000;
  w.links.at(-1).onclose({ code: 1006 });
  w.fire(500);
  assert.equal(w.links.length, 6);
});

test("a late close of an old link does not undo the new one", () => {
  const w = world();
  w.socket.start();
  w.hello();
  w.links[0].onclose({ code: 1006 });
  w.socket.retry();
  w.hello();
  w.links[0].onclose({ code: 1006 });
  assert.equal(w.socket.state, "live");
});

test("silence is asked about, then believed dead", () => {
  const w = world();
  w.socket.start();
  w.hello();
  w.fire(1500);
  assert.deepEqual(w.links[0].sent, [{ type: "ping", n: 1 }]);
  w.links[0].onmessage({ data: '{"type":"delta"}' });
  w.fire(1500);
  w.fire(28000);
  assert.equal(w.links[0].closed, true);
  assert.equal(w.socket.state, "lost");
});

test("who comes back asks at once, and only the answer to that tells that the link lives", () => {
  const w = world();
  w.socket.start();
  w.hello();
  w.socket.retry();
  w.socket.retry();
  assert.deepEqual(w.links[0].sent, [{ type: "ping", n: 1 }], "asked once");
  w.links[0].onmessage({ data: '{"type":"pong","n":1}' });
  w.socket.retry();
  for (const late of ['{"type":"delta"}', '{"type":"pong","n":1}']) w.links[0].onmessage({ data: late });
  w.fire(4000);
  assert.equal(w.socket.state, "lost");
  w.fire(500);
  w.hello();
  assert.equal(w.socket.state, "live");
});

test("silence is counted from the last frame, and doubted at once where something surely cut the link", () => {
  const w = world();
  const { watch } = w.socket;
  w.socket.start();
  w.hello();
  w.now += 7000;
  assert.deepEqual([watch.silence(), watch.doubt], [7000, false]);
  w.links[0].onmessage({ data: '{"type":"delta"}' });
  assert.equal(watch.silence() < 1000, true);
  w.socket.retry();
  assert.equal(watch.doubt, false, "another tab was looked at");
  w.socket.retry(true);
  w.links[0].onmessage({ data: '{"type":"delta"}' });
  assert.equal(watch.doubt, true, "what was under way before proves nothing");
  w.links[0].onmessage({ data: '{"type":"pong","n":1}' });
  assert.equal(watch.doubt, false);
});

test("a page is silent after three intervals of the machine it watches, at most five seconds, and never while hidden", () => {
  for (const { rate, most } of [
    { rate: 0, most: 5000 },
    { rate: 5, most: 5000 },
    { rate: 1, most: 3000 },
  ]) {
    let now = 0;
    /** @type {any} */
    const page = { url: "ws://hub/ws/dashboard", clock: {}, now: () => now };
    const feed = new Feed(rate ? { machine: 7, rate } : null, {}, page);
    feed.socket.state = "live";
    now = most - 1;
    assert.equal(feed.silent, false, `${rate}`);
    now = most;
    assert.equal(feed.silent, true, `${rate}`);
    feed.hidden = true;
    assert.equal(feed.silent, false, `${rate}`);
  }
});

test("a computer that slept knows how long nothing came, although one of its clocks stood still", () => {
  const w = world();
  const wall = Date.now;
  try {
    Date.now = () => 1_000_000;
    w.socket.start();
    w.hello();
    Date.now = () => 4_600_000;
    assert.equal(w.socket.watch.silence(), 3_600_000);
  } finally {
    Date.now = wall;
  }
});

test("a page that nobody sees asks rarely", () => {
  const w = world();
  w.socket.start();
  w.socket.watch.hidden = true;
  w.hello();
  w.fire(20000);
  assert.deepEqual(w.links[0].sent, [{ type: "ping", n: 1 }]);
});

test("a connection that cannot be made is given up", () => {
  const w = world();
  w.socket.start();
  w.fire(10000);
  w.fire(500);
  w.hello();
  assert.deepEqual([w.links.length, w.links[0].closed, w.socket.state], [2, true, "live"]);
});

test("signed out: it does not knock again", () => {
  const w = world();
  w.socket.start();
  w.hello();
  w.links[0].onclose({ code: 4401 });
  w.socket.retry();
  assert.deepEqual([w.socket.state, w.links.length], ["refused", 1]);
});

test("a frame that is no JSON is passed over, and nothing is sent while lost", () => {
  const w = world();
  w.socket.start();
  w.socket.send({ type: "watch" });
  w.links[0].onmessage({ data: "{" });
  assert.deepEqual([w.frames, w.links[0].sent], [[], []]);
});

test("signed out while away: the hub says so to a plain request, and it does not knock again", async () => {
  let asked = 0;
  const w = world(() => Promise.resolve(++asked <= 1));
  w.socket.start();
  w.hello();
  w.links[0].onclose({ code: 1006 });
  w.fire(500);
  w.links[1].onclose({ code: 1006 });
  await Promise.resolve();
  assert.equal(w.socket.state, "lost");
  w.fire(1000);
  w.links[2].onclose({ code: 1006 });
  await Promise.resolve();
  assert.deepEqual([w.socket.state, w.timers.size], ["refused", 0]);
});

test("a hub that cannot even be asked is only away", async () => {
  const w = world(() => Promise.reject(new Error("no network")));
  w.socket.start();
  w.links[0].onclose({ code: 1006 });
  w.fire(500);
  w.links[1].onclose({ code: 1006 });
  await Promise.resolve();
  assert.equal(w.socket.state, "connecting");
});
