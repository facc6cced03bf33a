import assert from "node:assert/strict";
import test from "node:test";

import { emptyFleet, merge } from "../../dashboard/static/js/fleet_store.js";

/** @returns {any} */
const snapshot = (seq, ...machines) => ({ type: "snapshot", epoch: "a", seq, machines });
/** @returns {any} */
const delta = (seq, m, removed) => ({ type: "delta", seq, t: 1, m, ...(removed ? { removed } : {}) });
const full = (id, cpu = 1) => ({ id, name: `RVM-${id}`, readings: { cpu_usage: cpu } });

test("a snapshot is the whole truth: what is not in it is gone", () => {
  let step = merge(emptyFleet(), snapshot(0, full(1), full(2)));
  assert.deepEqual([step.changed, step.removed, step.whole], [[1, 2], [], true]);
  step = merge(step.fleet, { ...snapshot(9, full(2)), epoch: "b" });
  assert.deepEqual([step.removed, step.fleet.epoch, step.fleet.seq], [[1], "b", 9]);
});

test("differences change only what they name", () => {
  const { fleet } = merge(emptyFleet(), snapshot(4, full(1), full(2)));
  const step = merge(fleet, delta(5, [{ id: 2, readings: { cpu_usage: 9 } }]));
  assert.deepEqual(step.fleet.machines.get(2), { id: 2, name: "RVM-2", readings: { cpu_usage: 9 } });
  assert.deepEqual([step.changed, step.ask, step.fleet.seq], [[2], false, 5]);
});

test("a gap, and a machine nobody introduced, ask for a snapshot and change nothing", () => {
  const { fleet } = merge(emptyFleet(), snapshot(4, full(1)));
  for (const frame of [
    delta(6, [{ id: 1, capacity: 3 }]),
    delta(4, [{ id: 1, capacity: 3 }]),
    delta(5, [{ id: 7, capacity: 3 }]),
  ]) {
    const step = merge(fleet, frame);
    assert.equal(step.ask, true);
    assert.equal(step.fleet.seq, 4);
    assert.equal(step.fleet.machines.get(1)?.capacity, undefined);
  }
});

test("differences before the first snapshot wait for it", () => {
  const step = merge(emptyFleet(), delta(1, [{ id: 1, capacity: 1 }]));
  assert.deepEqual([step.ask, step.changed], [false, []]);
});

test("machines come and go by differences", () => {
  const { fleet } = merge(emptyFleet(), snapshot(0, full(1)));
  const step = merge(fleet, delta(1, [full(3)], [1]));
  assert.deepEqual([[...step.fleet.machines.keys()], step.removed], [[3], [1]]);
});
