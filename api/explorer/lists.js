// Lists of circuits that this browser keeps, to compare them as sets.

const KEY = "atlas.lists";

/** @returns {Record<string, string[]>} */
function lists() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return kept && typeof kept === "object" ? kept : {};
  } catch {
    return {};
  }
}

export const listNames = () => Object.keys(lists()).sort();
export const listOf = (/** @type {string} */ name) => lists()[name] ?? [];

/** Adds circuits to a list. @param {string} name @param {string[]} ids */
export function saveList(name, ids) {
  const all = lists();
  all[name] = [...new Set([...(all[name] ?? []), ...ids])];
  localStorage.setItem(KEY, JSON.stringify(all));
}
