// The drawing of circuits: where nodes stand, which of them are kept, and how they look on a canvas and as SVG.
//
// This module imports nothing and asks for nothing, so that a notebook can carry it whole. The steps are:
//
// 1. `readGraph`  GraphQL's `Circuit.graph` → arrays.
// 2. `keep`       the sliders: which nodes and edges hold the asked share of the influence.
// 3. `layOut`     tokens across, layers up. Several graphs get the same rows and the same widths of columns.
// 4. `paint…`     marks and curves through a pen: `canvasPen` draws at once, `svgPen` writes markup.

/**
 * @typedef {{id: string, kind: "FEATURE"|"ERROR"|"TOKEN"|"LOGIT"|"OTHER"|"GROUP", layer: number, position: number,
 *   influence: number|null, cumulative: number|null, activation: number|null, token: string|null,
 *   probability: number|null, feature: string|null, label: string|null, name: string, short: string}} Node
 * @typedef {{nodes: Node[], sources: number[], targets: number[], weights: number[], shares: Float64Array,
 *   strengths: Float64Array, order: Int32Array, inputs: number[][], outputs: number[][], nLayers: number,
 *   tokens: string[]}} Graph
 * `shares[e]`: |weight| over the summed |weight| of the target's inputs. `strengths[e]`: share times the
 * influence of the target. `order`: edges, the strongest first. `inputs[n]`, `outputs[n]`: edges of a node.
 * @typedef {{nodes: Uint8Array, edges: Uint8Array, nNodes: number, nEdges: number}} Kept
 * @typedef {{x: Float64Array, y: Float64Array, columns: Column[], left: number, right: number}} Pane
 * @typedef {{x: number, width: number, anchor: number}} Column `anchor`: where the token stands, and the first nodes
 * @typedef {{panes: Pane[], rows: {layer: number, y: number, height: number}[], width: number, height: number,
 *   labelled: boolean, radius: number}} Layout
 * @typedef {{ink: string, quiet: string, paper: string, band: string, feature: string, error: string,
 *   token: string, logit: string, positive: string, negative: string, flipped: string, focus: string}} Theme
 */

/** Colours of a page without a style sheet of its own. @type {Theme} */
export const LIGHT = {
  ink: "#1c2024", quiet: "#6b737c", paper: "#ffffff", band: "#eef1f4", feature: "#3468c0", error: "#7b828a",
  token: "#2b7a4b", logit: "#8a4baf", positive: "#2f7fb8", negative: "#c2542d", flipped: "#a5217f",
  focus: "#111418",
};

/** Room around a whole picture: for the names of layers, and for the titles. */
export const MARGIN = { left: 60, head: 34, plain: 12 };
const MAX_SHORT = 22;
/** Fewer nodes than this are drawn with their labels. */
const LABELLED = 160;

/** The label's head: what stands before the first colon that ends a word, cut to a few words. @param {string} label */
export function shortLabel(label) {
  const head = label.split(/(?<=\S):\s/, 1)[0].trim() || label.trim();
  return head.length <= MAX_SHORT ? head : head.slice(0, MAX_SHORT - 1).trimEnd() + "…";
}

/** Spaces at the ends, tabs and line ends as signs, as `displayToken` of the API shows them. */
export function shownToken(/** @type {string|null} */ token) {
  if (token === null) return "";
  return token.replace(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length)).replace(/\t/g, "⇥").replace(/\n/g, "↵");
}

/** Text as a part of a sentence: cut, and kept from turning the rest around where it runs from right to left. */
export function apart(/** @type {string} */ text, most = 60) {
  const plain = text.replace(/[\u202a-\u202e\u2066-\u2069]/g, "");
  return `\u2068${plain.length > most ? plain.slice(0, most - 1) + "…" : plain}\u2069`;
}

/** How a number is written: three significant digits. */
export function shown(/** @type {number|null|undefined} */ value, digits = 3) {
  if (value === null || value === undefined) return "unknown";
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-4 ? value.toExponential(digits - 1) : String(Number(value.toPrecision(digits)));
}

/** What a node is called in lists. @param {any} node */
function nameOf(node) {
  if (node.kind === "TOKEN") return `token ${shownToken(node.token)}`;
  if (node.kind === "LOGIT") return `answer ${shownToken(node.token)}`;
  if (node.kind === "ERROR") return `error of layer ${node.layer}`;
  if (node.kind === "OTHER") return "other source";
  return node.label ?? `feature ${node.layer}/${node.index}`;
}

/** @param {any} node */
function shortOf(node) {
  if (node.kind === "TOKEN" || node.kind === "LOGIT") return shownToken(node.token);
  if (node.kind === "GROUP") return node.label.length <= MAX_SHORT + 4 ? node.label : node.label.slice(0, MAX_SHORT - 3) + "… " + node.label.slice(node.label.lastIndexOf("("));
  if (node.kind === "FEATURE") return node.label ? shortLabel(node.label) : `${node.layer}/${node.index}`;
  return "";
}

/** GraphQL's `graph` with the prompt's tokens as arrays. @param {any} graph @param {string[]} tokens @returns {Graph} */
export function readGraph(graph, tokens) {
  const nodes = graph.nodes.map((/** @type {any} */ node) => ({ ...node, name: nameOf(node), short: shortOf(node) }));
  const { sources, targets, weights } = graph, n = weights.length;
  const sums = new Float64Array(nodes.length);
  const inputs = nodes.map(() => []), outputs = nodes.map(() => []);
  for (let e = 0; e < n; e++) {
    sums[targets[e]] += Math.abs(weights[e]);
    inputs[targets[e]].push(e);
    outputs[sources[e]].push(e);
  }
  const shares = Float64Array.from(weights, (/** @type {number} */ w, e) => Math.abs(w) / (sums[targets[e]] || 1));
  // Where influence is unknown, the flow of the pruned graph stands for it: from the answers down, by share.
  const flow = Float64Array.from(nodes, (node) => (node.kind === "LOGIT" ? (node.probability ?? 1) : 0));
  const byLayer = nodes.map((/** @type {any} */ _, /** @type {number} */ i) => i);
  byLayer.sort((/** @type {number} */ a, /** @type {number} */ b) => nodes[b].layer - nodes[a].layer);
  for (const target of byLayer) for (const e of inputs[target]) flow[sources[e]] += shares[e] * flow[target];
  nodes.forEach((/** @type {any} */ node, /** @type {number} */ i) => { node.strength = node.influence ?? flow[i]; });
  const strengths = shares.map((share, e) => share * (nodes[targets[e]].strength || 0));
  const order = Int32Array.from(shares.keys()).sort((a, b) => strengths[b] - strengths[a] || a - b);
  const nLayers = Math.max(0, ...nodes.map((/** @type {any} */ node) => node.layer + (node.kind === "LOGIT" ? 0 : 1)));
  return { nodes, sources, targets, weights, shares, strengths, order, inputs, outputs, nLayers, tokens };
}

/**
 * The nodes that hold `nodeShare` of the nodes' influence, and the edges between them that hold `edgeShare` of
 * the edges' strength. Tokens and answers always stay. @param {Graph} graph @returns {Kept}
 */
export function keep(graph, nodeShare = 1, edgeShare = 1) {
  const { nodes } = graph, kept = new Uint8Array(nodes.length);
  const ranked = nodes.map((_, i) => i).filter((i) => !ends(nodes[i]));
  ranked.sort((a, b) => strengthOf(nodes[b]) - strengthOf(nodes[a]) || a - b);
  const total = ranked.reduce((sum, i) => sum + strengthOf(nodes[i]), 0);
  nodes.forEach((node, i) => { if (ends(node)) kept[i] = 1; });
  for (let i = 0, held = 0; i < ranked.length && (nodeShare >= 1 || held < nodeShare * total); i++) {
    kept[ranked[i]] = 1;
    held += strengthOf(nodes[ranked[i]]);
  }
  const edges = new Uint8Array(graph.weights.length);
  const between = graph.order.filter((e) => kept[graph.sources[e]] && kept[graph.targets[e]]);
  const whole = between.reduce((sum, e) => sum + graph.strengths[e], 0);
  let nEdges = 0;
  for (let i = 0, held = 0; i < between.length && (edgeShare >= 1 || held < edgeShare * whole); i++, nEdges++) {
    edges[between[i]] = 1;
    held += graph.strengths[between[i]];
  }
  return { nodes: kept, edges, nNodes: kept.reduce((sum, k) => sum + k, 0), nEdges };
}

const ends = (/** @type {Node} */ node) => node.kind === "TOKEN" || node.kind === "LOGIT";
const strengthOf = (/** @type {any} */ node) => node.strength || 0;

/**
 * Places of the nodes of one or more graphs, side by side, in units of the screen at zoom 1.
 *
 * Columns are positions and rows are layers; the nodes of a cell stand in a grid, the strongest first. All graphs
 * have the same rows. `pairs` names, for each graph, the column of each position, so that columns of different
 * graphs can have the same width and shared features the same place. @param {Graph[]} graphs
 * @param {Uint8Array[]} kept nodes to place: for each graph, 1 or 0 for each node
 * @param {{pairs?: (position: number, graph: number) => number, shared?: (node: Node) => boolean}} [options]
 * @returns {Layout}
 */
export function layOut(graphs, kept, { pairs = (position) => position, shared = () => false } = {}) {
  const count = kept.reduce((sum, each) => sum + each.reduce((n, k) => n + k, 0), 0);
  const labelled = count <= LABELLED * graphs.length;
  const nLayers = Math.max(...graphs.map((graph) => graph.nLayers));
  /** @type {Map<string, number[][]>} cell → for each graph, the nodes in it */
  const cells = new Map();
  const nColumns = graphs.map((graph) => graph.tokens.length);
  graphs.forEach((graph, g) => graph.nodes.forEach((node, i) => {
    if (!kept[g][i]) return;
    nColumns[g] = Math.max(nColumns[g], node.position + 1);
    const layer = node.kind === "LOGIT" ? nLayers : node.layer;
    const key = `${pairs(node.position, g)}|${layer}`;
    if (!cells.has(key)) cells.set(key, graphs.map(() => []));
    /** @type {number[][]} */ (cells.get(key))[g].push(i);
  }));
  // Shared features come first in their cell, ordered by id, so that they stand at the same place in each graph.
  for (const each of cells.values()) each.forEach((list, g) => list.sort((a, b) => {
    const one = graphs[g].nodes[a], two = graphs[g].nodes[b], both = +shared(two) - +shared(one);
    if (both) return both;
    if (shared(one)) return String(one.feature) < String(two.feature) ? -1 : 1;
    return strengthOf(two) - strengthOf(one) || a - b;
  }));
  const radius = labelled ? 5 : 3.5, step = labelled ? 17 : 10, slot = labelled ? 20 + MAX_SHORT * 5.1 : 10;
  const across = (/** @type {number} */ n) => (labelled ? Math.max(1, Math.ceil(n / 14)) : Math.max(1, Math.ceil(Math.sqrt(n * 1.3))));
  /** @type {Map<number, {slots: number, labels: boolean}>} */
  const columns = new Map();
  /** @type {Map<number, number>} layer → rows of its grid */
  const heights = new Map();
  for (const [key, lists] of cells) {
    const [column, layer] = key.split("|").map(Number), most = Math.max(...lists.map((list) => list.length));
    const slots = across(most), before = columns.get(column) ?? { slots: 1, labels: false };
    const labels = before.labels || (layer >= 0 && lists.some((list, g) => list.some((i) => graphs[g].nodes[i].short)));
    columns.set(column, { slots: Math.max(before.slots, slots), labels });
    heights.set(layer, Math.max(heights.get(layer) ?? 1, Math.ceil(most / slots)));
  }
  const rows = [];
  // Many layers stand closer, so that the whole circuit can be seen.
  const [room, gap] = !labelled ? [8, 5] : nLayers > 12 ? [5, 4] : [12, 10];
  let y = 0;
  for (let layer = nLayers; layer >= -1; layer--) {
    const height = Math.max(labelled ? 10 + room : 16, (heights.get(layer) ?? 0) * step + room);
    rows.push({ layer, y, height });
    y += height + gap;
  }
  const rowOf = new Map(rows.map((row) => [row.layer, row]));
  let left = 0;
  const panes = graphs.map((graph, g) => {
    const x = new Float64Array(graph.nodes.length), ys = new Float64Array(graph.nodes.length);
    /** @type {Column[]} */
    const places = [];
    const start = left;
    for (let position = 0; position < nColumns[g]; position++) {
      const column = columns.get(pairs(position, g)), letters = (graph.tokens[position] ?? "").length;
      const least = Math.min(96, Math.max(labelled ? 34 : 18, letters * 7.4 + 16));
      const width = Math.max(least, column ? column.slots * (column.labels ? slot : 18) + 8 : 0);
      places.push({ x: left, width, anchor: left + (labelled ? 12 : width / 2) });
      left += width;
    }
    for (const [key, lists] of cells) {
      const layer = Number(key.split("|")[1]), row = /** @type {any} */ (rowOf.get(layer)), list = lists[g];
      const most = Math.max(...lists.map((each) => each.length)), slots = across(most);
      list.forEach((i, k) => {
        // Labels run to the right of their nodes; nodes without labels stand around the middle.
        const first = labelled ? 0 : (Math.min(slots, most) - 1) / 2;
        x[i] = places[graph.nodes[i].position].anchor + ((k % slots) - first) * slot;
        ys[i] = row.y + (labelled ? 11 : 8) + Math.floor(k / slots) * step;
      });
    }
    const pane = { x, y: ys, columns: places, left: start, right: left };
    left += g + 1 < graphs.length ? 48 : 0;
    return pane;
  });
  return { panes, rows, width: left, height: y, labelled, radius };
}

/** The layout of one of several graphs alone, at the same scale and with the same rows. @param {Layout} layout @param {number} g @returns {Layout} */
export function paneAlone(layout, g) {
  const pane = layout.panes[g], shift = pane.left;
  const columns = pane.columns.map((each) => ({ ...each, x: each.x - shift, anchor: each.anchor - shift }));
  const width = Math.max(...layout.panes.map((each) => each.right - each.left));
  return { ...layout, width, panes: [{ x: pane.x.map((x) => x - shift), y: pane.y, columns, left: 0, right: pane.right - shift }] };
}

// ---- pens ------------------------------------------------------------------------------------------------

/**
 * @typedef {{colour: string, width?: number, alpha?: number, dash?: number[]}} Line
 * @typedef {{fill?: string, colour?: string, width?: number, alpha?: number}} Mark
 * @typedef {{colour: string, size?: number, align?: "left"|"center"|"right", halo?: string, bold?: boolean}} Text
 * @typedef {{curves: (ends: number[], line: Line) => void, mark: (shape: string, x: number, y: number, r: number,
 *   style: Mark) => void, text: (text: string, x: number, y: number, style: Text) => void,
 *   box: (x: number, y: number, width: number, height: number, style: Mark) => void}} Pen
 * `curves` takes x1, y1, x2, y2 of each curve, one after the other.
 */

const FONT = "system-ui, -apple-system, 'Segoe UI', sans-serif";
/** More curves than this are drawn straight: bends can no longer be told apart, and lines are faster. */
const STRAIGHT = 4000;

/**
 * Control points of a curve. It leaves and arrives upright; between two nodes of one column it swings to the left, the
 * farther the longer it is, so that effects over several layers stay apart.
 * @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2
 */
function bends(x1, y1, x2, y2) {
  const rise = y2 - y1;
  if (Math.abs(x2 - x1) < 3) {
    const aside = Math.min(46, 5 + Math.abs(rise) * 0.13);
    return [x1 - aside, y1 + rise * 0.25, x2 - aside, y2 - rise * 0.25];
  }
  return [x1, y1 + rise / 2, x2, y2 - rise / 2];
}

/** Corners of a shape around 0, 0 with radius 1; null for a circle. @type {Record<string, number[][]|null>} */
const SHAPES = {
  FEATURE: null,
  ERROR: [[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]],
  TOKEN: [[-1, -1], [1, -1], [1, 1], [-1, 1]],
  LOGIT: [[-1.2, 0.9], [0, -1.2], [1.2, 0.9]],
  OTHER: [[-1.3, -0.5], [1.3, -0.5], [1.3, 0.5], [-1.3, 0.5]],
  GROUP: [[-1.5, -0.9], [-0.9, -1.5], [0.9, -1.5], [1.5, -0.9], [1.5, 0.9], [0.9, 1.5], [-0.9, 1.5], [-1.5, 0.9]],
};

/** A pen that draws on a canvas. @param {CanvasRenderingContext2D} to @param {number} zoom @returns {Pen} */
export function canvasPen(to, zoom = 1) {
  return {
    curves(ends, { colour, width = 1, alpha = 1, dash = [] }) {
      to.globalAlpha = alpha;
      to.strokeStyle = colour;
      to.lineWidth = width / zoom;
      to.setLineDash(dash.map((each) => each / zoom));
      to.beginPath();
      for (let i = 0; i < ends.length; i += 4) {
        to.moveTo(ends[i], ends[i + 1]);
        if (ends.length > STRAIGHT * 4) to.lineTo(ends[i + 2], ends[i + 3]);
        else {
          const [a, b, c, d] = bends(ends[i], ends[i + 1], ends[i + 2], ends[i + 3]);
          to.bezierCurveTo(a, b, c, d, ends[i + 2], ends[i + 3]);
        }
      }
      to.stroke();
      to.setLineDash([]);
      to.globalAlpha = 1;
    },
    mark(shape, x, y, r, { fill, colour, width = 1, alpha = 1 }) {
      to.globalAlpha = alpha;
      to.beginPath();
      const corners = SHAPES[shape];
      if (corners) corners.forEach(([dx, dy], i) => (i ? to.lineTo(x + dx * r, y + dy * r) : to.moveTo(x + dx * r, y + dy * r)));
      else to.arc(x, y, r, 0, 2 * Math.PI);
      to.closePath();
      if (fill) { to.fillStyle = fill; to.fill(); }
      if (colour) { to.strokeStyle = colour; to.lineWidth = width; to.stroke(); }
      to.globalAlpha = 1;
    },
    text(text, x, y, { colour, size = 11, align = "left", halo, bold = false }) {
      to.font = `${bold ? "600 " : ""}${size}px ${FONT}`;
      to.textAlign = align;
      to.textBaseline = "middle";
      if (halo) { to.strokeStyle = halo; to.lineWidth = 3; to.lineJoin = "round"; to.strokeText(text, x, y); }
      to.fillStyle = colour;
      to.fillText(text, x, y);
    },
    box(x, y, width, height, { fill, colour, width: line = 1, alpha = 1 }) {
      to.globalAlpha = alpha;
      if (fill) { to.fillStyle = fill; to.fillRect(x, y, width, height); }
      if (colour) { to.strokeStyle = colour; to.lineWidth = line; to.strokeRect(x, y, width, height); }
      to.globalAlpha = 1;
    },
  };
}

const MARKUP = /** @type {Record<string, string>} */ ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" });
// Control characters cannot stand in XML, not even escaped.
const escaped = (/** @type {string} */ text) => text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "�").replace(/[&<>"']/g, (each) => MARKUP[each]);
const round = (/** @type {number} */ value) => Math.round(value * 100) / 100;

/** A pen that writes SVG. Its `markup` is the content of an `svg` element. @returns {Pen & {markup: string[]}} */
export function svgPen() {
  /** @type {string[]} */
  const markup = [];
  const paint = (/** @type {Mark} */ { fill, colour, width = 1, alpha = 1 }) =>
    `fill="${fill ?? "none"}"${colour ? ` stroke="${colour}" stroke-width="${width}"` : ""}${alpha < 1 ? ` opacity="${alpha}"` : ""}`;
  return {
    markup,
    curves(ends, { colour, width = 1, alpha = 1, dash = [] }) {
      const parts = [];
      for (let i = 0; i < ends.length; i += 4) {
        const [x1, y1, x2, y2] = ends.slice(i, i + 4).map(round);
        parts.push(`M${x1} ${y1}C${bends(x1, y1, x2, y2).map(round).join(" ")} ${x2} ${y2}`);
      }
      markup.push(`<path d="${parts.join("")}" fill="none" stroke="${colour}" stroke-width="${width}" opacity="${alpha}"` +
        `${dash.length ? ` stroke-dasharray="${dash.join(" ")}"` : ""}/>`);
    },
    mark(shape, x, y, r, style) {
      const corners = SHAPES[shape];
      markup.push(corners
        ? `<polygon points="${corners.map(([dx, dy]) => `${round(x + dx * r)},${round(y + dy * r)}`).join(" ")}" ${paint(style)}/>`
        : `<circle cx="${round(x)}" cy="${round(y)}" r="${r}" ${paint(style)}/>`);
    },
    text(text, x, y, { colour, size = 11, align = "left", halo, bold = false }) {
      const anchor = { left: "start", center: "middle", right: "end" }[align];
      markup.push(`<text x="${round(x)}" y="${round(y)}" font-size="${size}" text-anchor="${anchor}" dominant-baseline="central" ` +
        `fill="${colour}"${bold ? ' font-weight="600"' : ""}${halo ? ` stroke="${halo}" stroke-width="3" paint-order="stroke"` : ""}>${escaped(text)}</text>`);
    },
    box(x, y, width, height, style) {
      markup.push(`<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" ${paint(style)}/>`);
    },
  };
}

/** The content of an SVG pen as a file. @param {string[]} markup @param {string} title @param {Theme} theme */
export function svgFile(markup, width = 800, height = 600, title = "", theme = LIGHT) {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${round(width)} ${round(height)}" width="${round(width)}" height="${round(height)}" ` +
    `font-family="${FONT}" role="img"><title>${escaped(title)}</title><rect width="100%" height="100%" fill="${theme.paper}"/>${markup.join("")}</svg>`;
}

// ---- painting --------------------------------------------------------------------------------------------

/** Widths of an edge by its strength: four steps, so that thousands of edges are few paths. */
const WIDTHS = [0.6, 1.1, 2, 3.4], ALPHAS = [0.22, 0.4, 0.6, 0.85];
const DASH = [5, 3];

/** Step of an edge, 0 to 3, by its strength over the greatest strength. @param {number} relative */
const stepOf = (relative) => (relative > 0.5 ? 3 : relative > 0.15 ? 2 : relative > 0.04 ? 1 : 0);

/**
 * Draws edges: the colour and the dashes say the sign, the width says the strength.
 * @param {Pen} pen @param {Graph} graph @param {Pane} pane @param {Iterable<number>} edges @param {Theme} theme
 * @param {{strong?: boolean, flipped?: Set<number>|null}} [options] strong: without faintness
 */
export function paintEdges(pen, graph, pane, edges, theme, { strong = false, flipped = null } = {}) {
  const most = graph.order.length ? graph.strengths[graph.order[0]] || 1 : 1;
  /** @type {Map<string, number[]>} */
  const groups = new Map();
  for (const e of edges) {
    const sign = flipped?.has(e) ? "f" : graph.weights[e] < 0 ? "-" : "+";
    const key = sign + stepOf(graph.strengths[e] / most);
    if (!groups.has(key)) groups.set(key, []);
    const s = graph.sources[e], t = graph.targets[e];
    /** @type {number[]} */ (groups.get(key)).push(pane.x[s], pane.y[s], pane.x[t], pane.y[t]);
  }
  for (const [key, ends] of [...groups].sort(([a], [b]) => Number(a[1]) - Number(b[1]))) {
    const step = Number(key[1]), colour = { "+": theme.positive, "-": theme.negative, f: theme.flipped }[key[0]];
    pen.curves(ends, {
      colour: /** @type {string} */ (colour), width: WIDTHS[step] + (strong ? 0.8 : 0),
      alpha: strong ? Math.max(0.55, ALPHAS[step]) : ALPHAS[step] * (ends.length > STRAIGHT * 4 ? 0.4 : 1),
      dash: key[0] === "-" ? DASH : key[0] === "f" ? [2, 2] : [],
    });
  }
}

/** The colour of a kind of node. @param {string} kind @param {Theme} theme */
export const colourOf = (kind, theme) =>
  ({ FEATURE: theme.feature, GROUP: theme.feature, ERROR: theme.error, TOKEN: theme.token, LOGIT: theme.logit })[kind] ?? theme.quiet;

/**
 * Draws nodes: the shape says the kind. Features are filled discs, errors hollow diamonds, tokens squares, answers
 * triangles; a ring marks a node that only one of two circuits has.
 * @param {Pen} pen @param {Graph} graph @param {Pane} pane @param {Layout} layout @param {Iterable<number>} nodes
 * @param {Theme} theme @param {{labels?: boolean, only?: Uint8Array|null, bold?: boolean, zoom?: number}} [options]
 * zoom: below 1, labels keep the size that they have at zoom 1
 */
export function paintNodes(pen, graph, pane, layout, nodes, theme, { labels = true, only = null, bold = false, zoom = 1 } = {}) {
  const size = 1 / Math.min(1, zoom);
  for (const i of nodes) {
    const node = graph.nodes[i], x = pane.x[i], y = pane.y[i], r = layout.radius * (bold ? 1.25 : 1);
    const colour = colourOf(node.kind, theme), hollow = node.kind === "ERROR" || node.kind === "OTHER";
    pen.mark(node.kind, x, y, r, { fill: hollow ? theme.paper : colour, colour: hollow ? colour : theme.paper, width: hollow ? 1.4 : 0.8 });
    if (only?.[i]) pen.mark("FEATURE", x, y, r + 3, { colour: theme.ink, width: 1.3 });
    if (labels && layout.labelled && node.kind !== "TOKEN" && node.short)
      pen.text(node.short, x + layout.radius + 5, y + 0.5, {
        colour: theme.ink, halo: theme.paper, bold: bold || node.kind === "LOGIT", size: (node.kind === "LOGIT" ? 13 : 11) * size,
      });
  }
}

/** Draws the rows of layers as bands. @param {Pen} pen @param {Layout} layout @param {Theme} theme */
export function paintBands(pen, layout, theme) {
  layout.rows.forEach((row, k) => {
    if (k % 2 === 0) for (const pane of layout.panes)
      pen.box(pane.left - 4, row.y - 4, pane.right - pane.left + 8, row.height + 4, { fill: theme.band, alpha: 0.55 });
  });
}

/** The name of a row. @param {number} layer @param {number} nLayers */
export const rowName = (layer, nLayers) => (layer < 0 ? "tokens" : layer >= nLayers ? "answer" : `L${layer}`);

/** Text cut to a width in letters. @param {string} text @param {number} width in units of the screen */
export function cut(text, width, size = 12) {
  const most = Math.max(1, Math.floor(width / (size * 0.56)));
  return text.length <= most ? text : text.slice(0, most - 1) + "…";
}

/**
 * A whole circuit, or several side by side, with tokens and layers named: what is saved, and what notebooks show.
 * @param {Pen} pen @param {Graph[]} graphs @param {Layout} layout @param {Kept[]} kept @param {Theme} theme
 * @param {{only?: (Uint8Array|null)[], flipped?: (Set<number>|null)[], titles?: string[], focus?: {graph: number,
 *   node: number}|null, parts?: (number[]|null)[]}} [options] parts: for each graph, the weight of each token
 * @returns {{width: number, height: number}} size of the picture
 */
export function paintWhole(pen, graphs, layout, kept, theme, { only = [], flipped = [], titles = [], focus = null, parts = [] } = {}) {
  const dx = MARGIN.left, dy = titles.length ? MARGIN.head : MARGIN.plain;
  const panes = layout.panes.map((pane) => ({
    ...pane, x: pane.x.map((x) => x + dx), y: pane.y.map((y) => y + dy), left: pane.left + dx, right: pane.right + dx,
  }));
  const moved = { ...layout, panes, rows: layout.rows.map((row) => ({ ...row, y: row.y + dy })) };
  paintBands(pen, moved, theme);
  for (const row of moved.rows)
    pen.text(rowName(row.layer, moved.rows[0].layer), dx - 10, row.y + 10, { colour: theme.quiet, align: "right" });
  graphs.forEach((graph, g) => {
    const pane = panes[g], edges = graph.order.filter((e) => kept[g].edges[e]).reverse();
    const nodes = graph.nodes.map((_, i) => i).filter((i) => kept[g].nodes[i]);
    paintEdges(pen, graph, pane, edges, theme, { flipped: flipped[g] ?? null });
    if (focus?.graph === g)
      paintEdges(pen, graph, pane, edges.filter((e) => graph.sources[e] === focus.node || graph.targets[e] === focus.node), theme, { strong: true });
    paintNodes(pen, graph, pane, moved, nodes, theme, { only: only[g] ?? null });
    if (focus?.graph === g) pen.mark("FEATURE", pane.x[focus.node], pane.y[focus.node], layout.radius + 5, { colour: theme.focus, width: 2 });
    const weights = parts[g] ?? null, most = weights ? Math.max(1e-12, ...weights.map(Math.abs)) : 1;
    graph.tokens.forEach((token, position) => {
      const { width, anchor } = pane.columns[position], bottom = dy + layout.height, x = dx + anchor;
      paintToken(pen, cut(token, width), x, bottom + 6, layout.labelled, theme);
      if (weights) paintPart(pen, weights[position] ?? 0, most, x, bottom + 20, theme, width / 2);
    });
    if (titles[g]) pen.text(cut(titles[g], pane.right - pane.left, 13), pane.left, 12, { colour: theme.ink, bold: true, size: 13 });
  });
  return { width: dx + layout.width + 60, height: dy + layout.height + (parts.some(Boolean) ? 62 : 24) };
}

/** The text of a token under its square. It runs to the right, as labels do, where there are labels. */
export function paintToken(/** @type {Pen} */ pen, /** @type {string} */ text, /** @type {number} */ x, /** @type {number} */ y,
  /** @type {boolean} */ labelled, /** @type {Theme} */ theme, bold = false) {
  pen.text(text, labelled ? x - 5 : x, y, { colour: theme.ink, align: labelled ? "left" : "center", size: 12, bold, halo: theme.paper });
}

/** One token's contribution: a bar to the right of x if positive, to the left if negative, and its number. */
export function paintPart(/** @type {Pen} */ pen, /** @type {number} */ weight, /** @type {number} */ most,
  /** @type {number} */ x, /** @type {number} */ y, /** @type {Theme} */ theme, reach = 22) {
  const length = (Math.abs(weight) / most) * Math.min(22, reach);
  pen.box(x - 0.5, y - 1, 1, 10, { fill: theme.quiet });
  if (length > 0.3) pen.box(weight > 0 ? x : x - length, y, length, 8, { fill: weight > 0 ? theme.positive : theme.negative });
  pen.text(shown(weight, 2), x, y + 18, { colour: theme.quiet, align: "center", size: 10 });
}
