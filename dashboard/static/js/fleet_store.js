// The fleet as this page knows it: a snapshot, then differences. Pure: takes a state and a frame, gives the next state.
// A gap in the numbers or another life of the hub leads to one thing only: ask for a new snapshot.

/** @typedef {{epoch: string | null, seq: number, machines: Map<number, Machine>}} Fleet */

/** @returns {Fleet} */
export function emptyFleet() {
  return { epoch: null, seq: -1, machines: new Map() };
}

/**
 * @param {Fleet} fleet @param {Frame} frame
 * @returns {{fleet: Fleet, changed: number[], removed: number[], ask: boolean, whole: boolean}}
 */
export function merge(fleet, frame) {
  if (frame.type === "snapshot") {
    const machines = new Map(frame.machines.map((machine) => [machine.id, machine]));
    const removed = [...fleet.machines.keys()].filter((id) => !machines.has(id));
    return {
      fleet: { epoch: frame.epoch, seq: frame.seq, machines },
      changed: [...machines.keys()],
      removed,
      ask: false,
      whole: true,
    };
  }
  const same = { fleet, changed: [], removed: [], ask: false, whole: false };
  // Until the first snapshot differences mean nothing; it is on its way.
  if (frame.type !== "delta" || fleet.epoch === null) return same;
  if (frame.seq !== fleet.seq + 1) return { ...same, ask: true };
  const machines = fleet.machines;
  const changed = [];
  for (const { id, ...members } of frame.m) {
    const known = machines.get(id);
    if (!known && members.name === undefined) return { ...same, ask: true };
    machines.set(id, /** @type {Machine} */ ({ ...(known ?? { id }), ...members }));
    changed.push(id);
  }
  const removed = frame.removed ?? [];
  for (const id of removed) machines.delete(id);
  return { fleet: { ...fleet, seq: frame.seq, machines }, changed, removed, ask: false, whole: false };
}
