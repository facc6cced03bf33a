// Live or Paused: in Live the window slides with the hub's time; a person's zoom pauses it and is never taken away.

// Plotly writes an axis's dates without a zone; read as they stand they would be taken for this computer's.
/** @param {unknown} value */
export const utc = (value) => (typeof value === "string" ? Date.parse(`${value.replace(" ", "T")}Z`) : Number(value));

export class LiveRange {
  /** @param {number} width of the window, ms */
  constructor(width) {
    this.width = width;
    /** @type {{range: [number, number], since: number} | null} */
    this.paused = null;
  }

  /**
   * What the person did to a chart, as Plotly reports it. True when it concerned the time axis.
   * @param {any} event @param {number} now @param {number} [ahead] ms the axis is ahead of UTC
   */
  relayout(event, now, ahead = 0) {
    if (event["xaxis.autorange"] || event["xaxis.showspikes"] !== undefined) return false;
    const from = event["xaxis.range[0]"] ?? event["xaxis.range"]?.[0];
    const to = event["xaxis.range[1]"] ?? event["xaxis.range"]?.[1];
    if (from === undefined || to === undefined) return false;
    this.paused = { range: [utc(from) - ahead, utc(to) - ahead], since: this.paused?.since ?? now };
    return true;
  }

  /** @param {number} now */
  pause(now) {
    this.paused = { range: this.range(now), since: now };
  }

  live() {
    this.paused = null;
  }

  /** @returns {[number, number]} @param {number} now */
  range(now) {
    return this.paused ? this.paused.range : [now - this.width, now];
  }

  /** How many ms the picture is behind. @param {number} now */
  behind(now) {
    return this.paused ? now - this.paused.since : 0;
  }
}
