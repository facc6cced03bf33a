// Numbers, ages and instants as readers of each language write them, by the browser's CLDR: its half of dashboard/formats.py.

const THIN = "\u202f";
const LOCALES = { en: "en-US", id: "id-ID" };
const AMOUNTS = ["B", "kB", "MB", "GB", "TB"];
const UNITS = { en: ["d", "h", "min", "s"], id: ["hari", "jam", "mnt", "dtk"] };
/** @type {Record<string, string>} */
const ZONES = {
  "Asia/Jakarta": "WIB",
  "Asia/Pontianak": "WIB",
  "Asia/Makassar": "WITA",
  "Asia/Ujung_Pandang": "WITA",
  "Asia/Jayapura": "WIT",
};
const DAY_MS = 86400000;
const made = new Map();

/** @template T @param {string} key @param {() => T} make @returns {T} */
function kept(key, make) {
  if (!made.has(key)) made.set(key, make());
  return made.get(key);
}

/** @param {number} value @param {Language} lang @param {number} [decimals] */
export function number(value, lang, decimals = 0) {
  const format = kept(
    `n${lang}${decimals}`,
    () => new Intl.NumberFormat(LOCALES[lang], { minimumFractionDigits: decimals, maximumFractionDigits: decimals }),
  );
  const text = format.format(value);
  return /[1-9]/.test(text) ? text.replace("-", "\u2212") : text.replace("-", "");
}

/**
 * A value of free shape as a line of text; what is neither text nor number says nothing (and cannot be made to).
 * @param {unknown} value
 */
export function plain(value) {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

/**
 * One reading with its unit: degrees for the temperature, percent for the rest.
 * @param {string} metric @param {number} value @param {Language} lang
 */
export function reading(metric, value, lang) {
  return metric === "temperature" ? `${number(value, lang, 1)}${THIN}°C` : `${number(value, lang)}${THIN}%`;
}

/** Bytes, the unit by their size: `214 MB`. @param {number} size @param {Language} lang */
export function amount(size, lang) {
  let [value, unit] = [size, 0];
  for (; value >= 1000 && unit < AMOUNTS.length - 1; unit += 1) value /= 1000;
  return `${number(value, lang, unit > 0 && value < 10 ? 1 : 0)}${THIN}${AMOUNTS[unit]}`;
}

/** @param {number} seconds */
function parts(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
}

/** The largest unit only: `12 s`, `3 h`. @param {number} seconds @param {Language} lang */
export const age = (seconds, lang) => largest(seconds, lang, 1);

/** The two largest units: `6 min 30 s`. @param {number} seconds @param {Language} lang */
export const span = (seconds, lang) => largest(seconds, lang, 2);

/** The next below the first only when there is something of it. @param {number} seconds @param {Language} lang @param {number} most */
function largest(seconds, lang, most) {
  const amounts = parts(seconds);
  const first = amounts.findIndex((n) => n > 0);
  const at = first < 0 ? 3 : first;
  return amounts
    .map((n, i) => `${n}${THIN}${UNITS[lang][i]}`)
    .filter((_, i) => i === at || (i > at && i < at + most && amounts[i]))
    .join(" ");
}

/** A clock's difference with its sign. @param {number} seconds @param {Language} lang */
export function offset(seconds, lang) {
  const size = Math.abs(seconds);
  const sign = seconds < 0 && size >= 0.05 ? "\u2212" : "+";
  return sign + (size < 60 ? `${number(size, lang, 1)}${THIN}${UNITS[lang][3]}` : span(size, lang));
}

/**
 * The value behind a trouble: degrees, the clock's difference, or percent.
 * @param {string} cause @param {number} value @param {Language} lang
 */
export function worth(cause, value, lang) {
  return cause.startsWith("clock")
    ? offset(value, lang)
    : reading(cause === "hot" ? "temperature" : "share", value, lang);
}

/** @param {number} ms @param {string} zone */
function local(ms, zone) {
  const make = (/** @type {string} */ timeZone) =>
    new Intl.DateTimeFormat("en-GB", {
      timeZone,
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
    });
  /** @type {Intl.DateTimeFormat} */
  let format;
  try {
    format = kept(`z${zone}`, () => make(zone));
  } catch {
    format = kept("z", () => make("Asia/Jakarta"));
  }
  return Object.fromEntries(format.formatToParts(ms).map((part) => [part.type, part.value]));
}

/** What the wall there shows at that instant, as if it were UTC. @param {number} ms @param {string} zone */
function wall(ms, zone) {
  const at = local(ms, zone);
  const there = new Date(0);
  there.setUTCFullYear(+at.year, +at.month - 1, +at.day); // not Date.UTC, which takes the year 4 for 1904
  return there.setUTCHours(+at.hour, +at.minute, +at.second);
}

/** @param {number} at @param {Language} lang @param {Intl.DateTimeFormatOptions} options */
function shown(at, lang, options) {
  const make = () => new Intl.DateTimeFormat(LOCALES[lang], { timeZone: "UTC", hourCycle: "h23", ...options });
  return kept(`d${lang}${Object.keys(options)}`, make).format(at);
}

/** `14:02` or `14.02`; with seconds `14:02:11`. @param {number} ms @param {string} zone @param {Language} lang */
export function clock(ms, zone, lang, seconds = false) {
  /** @type {Intl.DateTimeFormatOptions} */
  const options = { hour: "2-digit", minute: "2-digit", ...(seconds && { second: "2-digit" }) };
  return shown(wall(ms, zone), lang, options);
}

/** How far the zone is ahead of UTC at that instant, in ms. @param {string} zone @param {number} ms */
export function zoneAhead(zone, ms) {
  return Math.round((wall(ms, zone) - Math.floor(ms / 1000) * 1000) / 60000) * 60000;
}

/** The instant when the clock there shows that full hour on the next day. @param {number} hour @param {number} now @param {string} zone */
export function nextDayAt(hour, now, zone) {
  const there = (Math.floor(wall(now, zone) / DAY_MS) + 1) * DAY_MS + hour * 3600000;
  const near = there - zoneAhead(zone, there);
  return there - zoneAhead(zone, near); // by then the clocks there may have changed
}

/** WIB, WITA or WIT; elsewhere `UTC+8`. @param {string} zone @param {number} ms */
export function zoneLabel(zone, ms) {
  if (ZONES[zone]) return ZONES[zone];
  const minutes = zoneAhead(zone, ms) / 60000;
  const size = Math.abs(minutes);
  return `UTC${minutes < 0 ? "\u2212" : "+"}${Math.floor(size / 60)}${size % 60 ? `:${String(size % 60).padStart(2, "0")}` : ""}`;
}

/**
 * `today 14:00 WIB`, `tomorrow 14:00 WIB`, else `23 Nov 14:00 WIB`.
 * @param {number} ms @param {number} now @param {string} zone @param {Language} lang
 */
export function day(ms, now, zone, lang) {
  const [at, here] = [wall(ms, zone), wall(now, zone)];
  const days = Math.floor(at / DAY_MS) - Math.floor(here / DAY_MS);
  const named = () => kept(`r${lang}`, () => new Intl.RelativeTimeFormat(LOCALES[lang], { numeric: "auto" }));
  const [year, thisYear] = [new Date(at).getUTCFullYear(), new Date(here).getUTCFullYear()];
  // Ours in both languages: the day before its month (dashboard/formats.py).
  const dayOfYear = () => `${new Date(at).getUTCDate()} ${shown(at, lang, { month: "short" })}`;
  const date = Math.abs(days) < 2 ? named().format(days, "day") : dayOfYear() + (year === thisYear ? "" : ` ${year}`);
  return `${date} ${clock(ms, zone, lang)} ${zoneLabel(zone, ms)}`;
}
