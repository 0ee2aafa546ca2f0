// Addresses of the views: every view can be opened, reloaded and shared by its address.
//
//   /                          start                /compare/A/B      two circuits
//   /search?text=              search               /contrast?a=&b=   two sets
//   /circuits?family=&…        the table            /modules          modules
//   /circuit/ID?node=&nodes=…  one circuit          /evidence         hypotheses, claims, studies, figures
//   /feature/ID                one feature          /request, /job/ID new circuits

import { useEffect, useState } from "./vendor/preact.js";

const VIEWS = ["search", "circuits", "circuit", "feature", "compare", "contrast", "modules", "evidence", "request", "job"];

/**
 * @typedef {{view: string, ids: string[], params: URLSearchParams, key: string}} Place
 * `key`: view and ids, without the parameters.
 */

/** The place that an address names; view "missing" if none does. @param {string} href @returns {Place} */
export function placeOf(href) {
  const url = new URL(href, location.href);
  const [first = "", ...rest] = url.pathname.split("/").filter(Boolean);
  const view = first === "" ? "start" : VIEWS.includes(first) ? first : "missing";
  // A feature's id has slashes of its own. They are escaped in addresses that the explorer writes; typed ones need not be.
  const ids = (view === "feature" && rest.length > 1 ? [rest.join("/")] : rest).map(decoded);
  return { view, ids, params: url.searchParams, key: [view, ...ids].join("|") };
}

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of a view. Parameters that are empty, null or undefined are left out.
 * @param {string} view @param {string|string[]} [ids] @param {Record<string, any>} [params] */
export function address(view, ids = [], params = {}) {
  const path = view === "start" ? "/" : "/" + [view, ...[ids].flat().map(encodeURIComponent)].join("/");
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(params))
    for (const each of [value].flat()) if (each !== null && each !== undefined && each !== "") asked.append(name, String(each));
  const text = asked.toString();
  return text ? `${path}?${text}` : path;
}

/** Go to an address. @param {string} href @param {{replace?: boolean}} [how] replace: without a step for Back */
export function go(href, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"]({ steps: stepsBack() + (replace ? 0 : 1) }, "", href);
  dispatchEvent(new Event("atlas:place"));
}

/** How many steps Back stays within the explorer. @returns {number} */
export const stepsBack = () => history.state?.steps ?? 0;

/** Change parameters of the current address. @param {Record<string, any>} changes @param {{replace?: boolean}} [how] */
export function change(changes, how) {
  const { view, ids, params } = placeOf(location.href);
  /** @type {Record<string, any>} */
  const all = {};
  for (const name of params.keys()) all[name] = params.getAll(name);
  go(address(view, ids, { ...all, ...changes }), how);
}

/** The place of the page, whenever it changes. */
export function usePlace() {
  const [place, setPlace] = useState(() => placeOf(location.href));
  useEffect(() => {
    const update = () => setPlace(placeOf(location.href));
    addEventListener("popstate", update);
    addEventListener("atlas:place", update);
    return () => {
      removeEventListener("popstate", update);
      removeEventListener("atlas:place", update);
    };
  }, []);
  return place;
}

/** Follows links within the explorer without loading the page again. */
export function followLinks() {
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = /** @type {Element} */ (event.target).closest?.("a[href]");
    if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute("download")) return;
    if (link.origin !== location.origin || placeOf(link.href).view === "missing") return;
    event.preventDefault();
    go(link.href);
  });
}
