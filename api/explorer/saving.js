// Files from a view: pictures as SVG and PNG, data as CSV and JSON. Nothing leaves the browser.

import { cut, shown, svgFile, svgPen } from "./drawing.js";

/** @param {string} name @param {Blob} content */
function save(name, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** A name for a file, from any text. @param {string} text */
export const fileName = (text) => text.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 80) || "atlas";

export const saveJson = (/** @type {string} */ name, /** @type {any} */ data) =>
  save(`${fileName(name)}.json`, new Blob([JSON.stringify(data, null, 2) + "\n"], { type: "application/json" }));

/** One value of a table. Text that a spreadsheet would take for a formula gets an apostrophe. @param {any} value */
function cell(value) {
  if (value === null || value === undefined) return "";
  let text = Array.isArray(value) ? value.join("; ") : String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Rows as CSV. @param {string[]} columns @param {any[][]} rows */
export const csvOf = (columns, rows) => [columns, ...rows].map((row) => row.map(cell).join(",") + "\r\n").join("");

/** An answer as one table: a row for each innermost object of a list, with the values of what it is in. Columns are paths.
 * @param {any} answer @returns {{columns: import("./parts.js").Column[], rows: any[]}} */
export function oneTable(answer) {
  const rows = rowsOf(answer, ""), names = [...new Set(rows.flatMap((row) => [...row.keys()]))];
  return { columns: names.map((name) => ({ name, value: (row) => row.get(name) })), rows };
}

const isObject = (/** @type {any} */ value) => value !== null && typeof value === "object" && !Array.isArray(value);

/** @param {any} object @param {string} at @returns {Map<string, any>[]} */
function rowsOf(object, at) {
  const { own, inner } = partsOf(object, at);
  return inner.length ? inner.map((row) => new Map([...own, ...row])) : [own];
}

/** The values of an object and of the objects in it, and the rows of their lists.
 * @param {any} object @param {string} at @returns {{own: Map<string, any>, inner: Map<string, any>[]}} */
function partsOf(object, at) {
  const own = new Map(), inner = /** @type {Map<string, any>[]} */ ([]);
  for (const [name, value] of Object.entries(object)) {
    const path = at + name;
    if (isObject(value)) {
      const part = partsOf(value, `${path}.`);
      part.own.forEach((each, key) => own.set(key, each));
      inner.push(...part.inner);
    } else if (Array.isArray(value) && value.some(isObject)) inner.push(...value.filter(isObject).flatMap((item) => rowsOf(item, `${path}.`)));
    else own.set(path, value);
  }
  return { own, inner };
}

export const saveCsv = (/** @type {string} */ name, /** @type {string[]} */ columns, /** @type {any[][]} */ rows) =>
  save(`${fileName(name)}.csv`, new Blob([csvOf(columns, rows)], { type: "text/csv" }));

export const saveSvg = (/** @type {string} */ name, /** @type {string} */ svg) =>
  save(`${fileName(name)}.svg`, new Blob([svg], { type: "image/svg+xml" }));

/** An SVG as PNG with twice its pixels. @param {string} name @param {string} svg */
export async function savePng(name, svg) {
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  await image.decode();
  const canvas = document.createElement("canvas");
  // Browsers refuse canvases beyond about 16 000 pixels a side.
  const scale = Math.min(2, 16_000 / Math.max(image.naturalWidth, image.naturalHeight));
  canvas.width = image.naturalWidth * scale;
  canvas.height = image.naturalHeight * scale;
  const to = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  to.drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  save(`${fileName(name)}.png`, /** @type {Blob} */ (blob));
}

/** A table as a picture. @param {string} title @param {string[]} columns @param {any[][]} rows @param {import("./drawing.js").Theme} theme */
export function tableSvg(title, columns, rows, theme) {
  const pen = svgPen(), most = 60, size = 12;
  const text = (/** @type {any} */ value) => cut(typeof value === "number" ? shown(value) : Array.isArray(value) ? value.join(", ") : String(value ?? ""), most * size * 0.56, size);
  const cells = rows.map((row) => row.map(text));
  const widths = columns.map((column, c) => 18 + 7 * Math.min(most, Math.max(column.length, ...cells.map((row) => row[c].length))));
  const width = Math.max(320, widths.reduce((sum, each) => sum + each, 24));
  pen.text(title, 12, 20, { colour: theme.ink, bold: true, size: 15 });
  [columns, ...cells].forEach((row, r) => {
    const y = 48 + r * 22;
    if (r % 2) pen.box(6, y - 11, width - 12, 22, { fill: theme.band, alpha: 0.6 });
    let x = 12;
    row.forEach((each, c) => {
      pen.text(each, x, y, { colour: r ? theme.ink : theme.quiet, size });
      x += widths[c];
    });
  });
  return svgFile(pen.markup, width, 60 + (rows.length + 1) * 22, title, theme);
}
