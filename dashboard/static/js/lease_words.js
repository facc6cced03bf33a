// A lease as words: how long it still lasts, and what stands in the bar on top. The browser's half of dashboard/remote_sessions.py.

export const OPEN = ["requested", "starting", "active"];

/** `14:05`, `1:02:03`; never less than `0:00`. @param {number} ms */
export function countdown(ms) {
  const whole = Math.max(0, Math.ceil(ms / 1000));
  /** @param {number} n */
  const two = (n) => String(n).padStart(2, "0");
  const [h, min, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${two(min)}:${two(s)}` : `${min}:${two(s)}`;
}

/**
 * The open lease of that person that ends first, with the machine it is on, or null.
 * @template {{lease: Lease | null}} M @param {Iterable<M>} machines @param {number} person
 */
export function ownLease(machines, person) {
  /** @type {{m: M, lease: Lease} | null} */
  let first = null;
  for (const m of machines) {
    const lease = m.lease;
    if (!lease || lease.admin_id !== person || !OPEN.includes(lease.status)) continue;
    if (!first || (lease.expires_at ?? Infinity) < (first.lease.expires_at ?? Infinity)) first = { m, lease };
  }
  return first;
}
