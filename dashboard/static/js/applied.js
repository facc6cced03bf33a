// Whether the machine runs the settings that are wanted, as a shape and words: the browser's half of dashboard/applied.py.

import { number } from "./format.js";
import { language, t } from "./texts.js";

/** @returns {{mark: string, words: string, errors: string}} @param {Machine} m */
export function applied(m) {
  const errors = m.config_refused;
  const told = errors ? t("applied.errors", { n: number(errors, language), count: errors }) : "";
  const wanted = m.config_wanted;
  const away = m.connection === "offline" || m.connection === "never";
  if (!wanted) return { mark: "active", words: t("applied.own_file"), errors: told };
  if (m.config_version === wanted) return { mark: errors ? "warn" : "active", words: t("applied.same"), errors: told };
  const words = t(away ? "applied.behind.offline" : "applied.behind", {
    wanted: String(wanted),
    n: String(m.config_version),
  });
  return { mark: "late", words, errors: told };
}
