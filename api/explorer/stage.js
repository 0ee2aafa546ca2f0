// The stage on which circuits are drawn: canvases with zoom, hover, pins and keys.
//
// Two canvases lie on each other. The lower one holds the whole graph and is drawn again only when the graph, the
// sliders or the zoom have changed; while a zoom goes on, its last picture is moved. The upper one holds what
// follows the pointer: the names of tokens and layers, and the node in focus with its inputs and outputs.

import {
  apart, canvasPen, cut, MARGIN, paintBands, paintEdges, paintNodes, paintPart, paintToken, rowName, shown,
} from "./drawing.js";
import { usePageTheme } from "./parts.js";
import { select, zoom, zoomIdentity } from "./vendor/d3.js";
import { html, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/preact.js";

/** @typedef {import("./drawing.js").Graph} Graph */
/** @typedef {{graph: number, node: number}} Spot */

const LEFT = MARGIN.left;
const REACH = 14;
/** One list for all drawings: a new one each time would look like a change, and the whole graph would be drawn again. @type {any[]} */
const NONE = [];
/** Tokens are cut to this width where their column is narrower. */
const LONG = 64;
/** Smallest zoom at which labels are drawn for all nodes. */
const READABLE = 0.6;
/** Smallest zooms at which a circuit opens: without labels, and with labels where the stage is as narrow as a phone. */
const LEAST = 0.55, NARROW = 640, READABLE_ON_PHONES = 0.85;

/**
 * @param {{graphs: Graph[], layout: import("./drawing.js").Layout, kept: import("./drawing.js").Kept[],
 *   pinned: Spot|null, onPin: (spot: Spot|null) => void, name: string, parts?: (number[]|null)[], titles?: string[],
 *   only?: (Uint8Array|null)[], flipped?: (Set<number>|null)[], joins?: number[][]}} props
 * parts: for each graph, the contribution of each token. only: nodes with a ring. joins: pairs of nodes, the first of
 * graph 0 and the second of graph 1, that are the same feature.
 */
export function Stage({ graphs, layout, kept, pinned, onPin, name, parts = NONE, titles = NONE, only = NONE, flipped = NONE, joins = NONE }) {
  const theme = usePageTheme();
  const wrapper = useRef(/** @type {any} */ (null)), base = useRef(/** @type {any} */ (null)), top = useRef(/** @type {any} */ (null));
  const [size, setSize] = useState({ width: 0 });
  const [hovered, setHovered] = useState(/** @type {Spot|null} */ (null));
  const [cursor, setCursor] = useState(/** @type {Spot|null} */ (null));
  const view = useRef({ now: zoomIdentity, drawn: zoomIdentity, frame: 0, timer: 0, zoomer: /** @type {any} */ (null) });
  const bottom = parts.some(Boolean) ? 64 : 30, head = titles.length ? 26 : 0;
  // The stage opens with what can be read. Where that is not all, it opens with the end of the prompt, where the answer is.
  const least = layout.panes.length > 1 ? 0.1 : !layout.labelled ? LEAST : size.width < NARROW ? READABLE_ON_PHONES : READABLE;
  const scale = Math.min(1.15, Math.max(least, (size.width - LEFT - 12) / layout.width));
  const height = Math.round(Math.min(Math.max(360, Math.min(760, innerHeight - 280)), Math.max(280, layout.height * scale + bottom + head + 20)));
  const [fit, whole] = useMemo(() => {
    const room = size.width - LEFT - 12, all = Math.min(1.15, room / layout.width, (height - bottom - head - 16) / layout.height);
    return [Math.max(all, least), all].map((k) => zoomIdentity.translate(LEFT + (layout.width * k > room ? room - layout.width * k : (room - layout.width * k) / 2), head + 10).scale(k));
  }, [least, height, size.width, layout, bottom, head]);
  const focus = hovered ?? cursor ?? pinned;
  const latest = useRef(/** @type {any} */ ({}));
  latest.current = { graphs, layout, kept, theme, focus, pinned, parts, titles, only, flipped, joins, size, height, bottom, head };

  const drawTop = useCallback(() => paintTop(top.current, view.current.now, latest.current), []);
  const drawBase = useCallback(() => {
    paintBase(base.current, view.current.now, latest.current);
    view.current.drawn = view.current.now;
    base.current.style.transform = "";
  }, []);
  /** Draw again in the next frame, however often it is asked for. */
  const later = useCallback(() => {
    cancelAnimationFrame(view.current.frame);
    view.current.frame = requestAnimationFrame(() => {
      const { now, drawn } = view.current;
      if (now !== drawn) {
        const k = now.k / drawn.k;
        base.current.style.transform = `translate(${now.x - drawn.x * k}px, ${now.y - drawn.y * k}px) scale(${k})`;
        clearTimeout(view.current.timer);
        view.current.timer = window.setTimeout(() => { drawBase(); drawTop(); }, 140);
      }
      drawTop();
    });
  }, []);

  useLayoutEffect(() => {
    const measure = () => setSize({ width: wrapper.current.clientWidth });
    const observer = new ResizeObserver(measure);
    observer.observe(wrapper.current);
    measure();
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    const stage = wrapper.current;
    const zoomer = zoom()
      // A wheel over the stage scrolls the page until the stage is used; one finger scrolls until it is zoomed.
      .filter((/** @type {any} */ event) => event.type === "wheel" ? event.ctrlKey || event.metaKey || document.activeElement === stage
        : event.type.startsWith("touch") ? event.touches.length > 1 || view.current.now.k * latest.current.layout.width > latest.current.size.width : !event.button)
      .on("zoom", (/** @type {any} */ event) => { view.current.now = event.transform; later(); });
    view.current.zoomer = zoomer;
    select(stage).call(zoomer).on("dblclick.zoom", null);
    return () => { select(stage).on(".zoom", null); clearTimeout(view.current.timer); cancelAnimationFrame(view.current.frame); };
  }, []);
  latest.current.fit = fit;

  useEffect(() => {
    const { zoomer } = view.current;
    zoomer.scaleExtent([whole.k * 0.7, Math.max(3, fit.k * 24)]).translateExtent([[-300, -200], [layout.width + 300, layout.height + 300]]);
    view.current.now = fit;
    wrapper.current.__zoom = fit;
    if (size.width) { drawBase(); drawTop(); }
  }, [fit]);
  useEffect(() => { if (size.width) { drawBase(); drawTop(); } }, [graphs, layout, kept, theme, only, flipped, joins]);
  // A node that is pinned, or reached by a key, comes into sight.
  const chosen = cursor ?? pinned;
  useEffect(() => {
    if (!chosen || !size.width || !layout.panes[chosen.graph]) return;
    const { now, zoomer } = view.current, pane = layout.panes[chosen.graph], at = [pane.x[chosen.node], pane.y[chosen.node]];
    const [x, y] = now.apply(at), within = x > LEFT && x < size.width - 40, floor = height - bottom;
    const seen = [within ? x : size.width / 2, Math.min(floor - 50, Math.max(head + 20, y))];
    if (!within || y < head || y > floor) zoomer.translateTo(select(wrapper.current), ...at, seen);
  }, [chosen?.graph, chosen?.node, fit]);
  useEffect(() => { if (size.width) drawTop(); }, [focus, pinned, parts, titles]);

  const nearest = (/** @type {PointerEvent|MouseEvent} */ event) => {
    const box = wrapper.current.getBoundingClientRect(), { now } = view.current;
    const [x, y] = now.invert([event.clientX - box.left, event.clientY - box.top]);
    return near(latest.current, x, y, REACH / now.k);
  };
  const moveBy = (/** @type {number} */ k) => view.current.zoomer.scaleBy(select(wrapper.current), k);
  const showAll = () => view.current.zoomer.transform(select(wrapper.current), whole);
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    const from = cursor ?? pinned, { key } = event;
    const steps = /** @type {Record<string, () => any>} */ ({
      ArrowLeft: () => step(latest.current, from, -1, 0), ArrowRight: () => step(latest.current, from, 1, 0),
      ArrowUp: () => step(latest.current, from, 0, -1), ArrowDown: () => step(latest.current, from, 0, 1),
      i: () => from && strongest(graphs[from.graph], kept[from.graph], from, "inputs"),
      o: () => from && strongest(graphs[from.graph], kept[from.graph], from, "outputs"),
    });
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (steps[key]) {
      const next = steps[key]();
      if (next) setCursor(next);
    } else if ((key === "Enter" || key === " ") && cursor) onPin(same(cursor, pinned) ? null : cursor);
    else if (key === "Escape") { setCursor(null); onPin(null); }
    else if (key === "+" || key === "=") moveBy(1.4);
    else if (key === "-") moveBy(1 / 1.4);
    else if (key === "0") showAll();
    else return;
    event.preventDefault();
  };

  const told = focus ? graphs[focus.graph]?.nodes[focus.node] : null;
  return html`<div>
    <div class=${`stage ${hovered ? "onnode" : ""}`} ref=${wrapper} tabindex="0" role="application" aria-label=${`${name}. Arrow keys go from node to node, i and o to the strongest input and output, Enter pins, Escape unpins, plus and minus zoom, 0 shows all.`}
      style=${{ height: `${height}px`, touchAction: "pan-y" }} onKeyDown=${onKeyDown}
      onPointerMove=${(/** @type {PointerEvent} */ event) => { if (event.pointerType !== "touch" && !event.buttons) { const spot = nearest(event); if (!same(spot, hovered)) setHovered(spot); } }}
      onPointerLeave=${() => setHovered(null)} onBlur=${() => setCursor(null)}
      onClick=${(/** @type {MouseEvent} */ event) => { const spot = nearest(event); wrapper.current.focus({ preventScroll: true }); setCursor(null); onPin(spot && same(spot, pinned) ? null : spot); }}>
      <canvas ref=${base} class=${focus ? "dimmed" : ""}></canvas><canvas ref=${top}></canvas>
      ${hovered && told ? html`<${Tip} node=${told} graph=${graphs[hovered.graph]} spot=${hovered} layout=${layout} at=${view.current.now} width=${size.width} />` : null}
    </div>
    <p class="unseen" aria-live="polite">${cursor && told ? sentence(told, graphs[cursor.graph]) : ""}</p>
    <div class="row ends under"><${Legend} theme=${theme} joined=${joins.length > 0} flipped=${flipped.some((each) => each?.size)} ringed=${only.some((each) => each?.includes(1))} grouped=${graphs.some((graph) => graph.nodes.some((node) => node.kind === "GROUP"))} />
      <span class="row" role="group" aria-label="Zoom"><button type="button" aria-label="Zoom out" onClick=${() => moveBy(1 / 1.4)}>−</button>
      <button type="button" aria-label="Zoom in" onClick=${() => moveBy(1.4)}>+</button><button type="button" onClick=${showAll}>Fit</button></span></div>
  </div>`;
}

const same = (/** @type {Spot|null} */ a, /** @type {Spot|null} */ b) => a === b || (a !== null && b !== null && a.graph === b.graph && a.node === b.node);

/** What a node is, in a sentence. @param {any} node @param {Graph} graph */
export function sentence(node, graph) {
  const token = graph.tokens[node.position];
  const place = node.kind === "TOKEN" ? `position ${node.position}` : node.kind === "LOGIT" ? `probability ${shown(node.probability)}`
    : `layer ${node.layer}, at ${token ? `“${apart(token, 40)}”` : `position ${node.position}`}`;
  const facts = [place, node.kind === "LOGIT" ? null : `influence ${shown(node.influence)}`, node.activation !== null && node.activation !== undefined ? `activation ${shown(node.activation)}` : null];
  return `${apart(node.name, 400)}: ${facts.filter(Boolean).join(", ")}`;
}

function Tip(/** @type {any} */ { node, graph, spot, layout, at, width }) {
  const pane = layout.panes[spot.graph], x = at.applyX(pane.x[spot.node]), y = at.applyY(pane.y[spot.node]);
  const side = x > width / 2 ? { right: `${width - x + 14}px` } : { left: `${x + 14}px` };
  return html`<div class="tip" style=${{ ...side, top: `${Math.max(4, y + 12)}px` }}>${cut(sentence(node, graph), 1800)}</div>`;
}

/** Signs of the drawing. @param {{theme: any, joined: boolean, flipped: boolean, ringed: boolean, grouped: boolean}} props */
function Legend({ theme, joined, flipped, ringed, grouped }) {
  const sign = (/** @type {any} */ content, /** @type {string} */ text) => html`<span><svg width="22" height="14" aria-hidden="true">${content}</svg> ${text}</span>`;
  return html`<p class="legend">
    ${sign(html`<circle cx="11" cy="7" r="5" fill=${theme.feature} />`, "feature")}
    ${grouped ? sign(html`<rect x="4" y="0" width="14" height="14" rx="4" fill=${theme.feature} />`, "supernode (features)") : null}
    ${sign(html`<polygon points="11,1 17,7 11,13 5,7" fill="none" stroke=${theme.error} stroke-width="1.5" />`, "error")}
    ${sign(html`<rect x="6" y="2" width="10" height="10" fill=${theme.token} />`, "token")}
    ${sign(html`<polygon points="5,12 11,2 17,12" fill=${theme.logit} />`, "answer")}
    ${sign(html`<line x1="0" y1="7" x2="22" y2="7" stroke=${theme.positive} stroke-width="2.5" />`, "raises")}
    ${sign(html`<line x1="0" y1="7" x2="22" y2="7" stroke=${theme.negative} stroke-width="2.5" stroke-dasharray="5 3" />`, "lowers")}
    ${ringed ? sign(html`<circle cx="11" cy="7" r="6" fill="none" stroke=${theme.ink} stroke-width="1.3" />`, "in one circuit only") : null}
    ${flipped ? sign(html`<line x1="0" y1="7" x2="22" y2="7" stroke=${theme.flipped} stroke-width="3" stroke-dasharray="2 2" />`, "sign differs") : null}
    ${joined ? sign(html`<line x1="0" y1="7" x2="22" y2="7" stroke=${theme.quiet} stroke-dasharray="1 3" />`, "same feature") : null}
    <span>width: strength</span></p>`;
}

// ---- finding nodes ---------------------------------------------------------------------------------------

/** The kept node nearest to a place, within a distance. @returns {Spot|null} */
function near(/** @type {any} */ { graphs, layout, kept }, /** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ reach) {
  let best = null, least = reach * reach;
  for (let g = 0; g < graphs.length; g++) {
    const pane = layout.panes[g];
    for (let i = 0; i < pane.x.length; i++) {
      if (!kept[g].nodes[i]) continue;
      // A label to the right of its node belongs to the node.
      const beside = layout.labelled && graphs[g].nodes[i].short && graphs[g].nodes[i].kind !== "TOKEN" ? graphs[g].nodes[i].short.length * 5.6 + 8 : 0;
      const dx = x < pane.x[i] ? pane.x[i] - x : Math.max(0, x - pane.x[i] - beside), dy = y - pane.y[i], d = dx * dx + dy * dy;
      if (d < least) { least = d; best = { graph: g, node: i }; }
    }
  }
  return best;
}

/** The next node in a direction: along the row, or in the nearest row above or below that has nodes. @returns {Spot|null} */
function step(/** @type {any} */ { graphs, layout, kept }, /** @type {Spot|null} */ from, /** @type {number} */ dx, /** @type {number} */ dy) {
  const all = graphs.flatMap((/** @type {Graph} */ graph, /** @type {number} */ g) => graph.nodes.map((_, node) => ({ graph: g, node })).filter((spot) => kept[g].nodes[spot.node]));
  const at = (/** @type {Spot} */ spot) => [layout.panes[spot.graph].x[spot.node], layout.panes[spot.graph].y[spot.node]];
  if (!from || !kept[from.graph]?.nodes[from.node]) return all.find((/** @type {Spot} */ spot) => graphs[spot.graph].nodes[spot.node].kind === "LOGIT") ?? all[0] ?? null;
  const [x, y] = at(from);
  let best = null, least = Infinity;
  for (const spot of all) {
    const [u, v] = at(spot), along = dx ? (u - x) * dx : (v - y) * dy, aside = dx ? Math.abs(v - y) : Math.abs(u - x);
    if (along <= 0.5) continue;
    const cost = dx ? along + aside * 6 : along * 3 + aside;
    if (cost < least) { least = cost; best = spot; }
  }
  return best;
}

/** The other end of the strongest kept input or output. @returns {Spot|null} */
function strongest(/** @type {Graph} */ graph, /** @type {any} */ kept, /** @type {Spot} */ spot, /** @type {"inputs"|"outputs"} */ way) {
  const edges = graph[way][spot.node].filter((e) => kept.edges[e]);
  if (!edges.length) return null;
  const e = edges.reduce((a, b) => (Math.abs(graph.weights[b]) > Math.abs(graph.weights[a]) ? b : a));
  return { graph: spot.graph, node: way === "inputs" ? graph.sources[e] : graph.targets[e] };
}

// ---- drawing ---------------------------------------------------------------------------------------------

/** A canvas of the size of the stage, cleared. @returns {CanvasRenderingContext2D} */
function cleared(/** @type {HTMLCanvasElement} */ canvas, /** @type {any} */ { size, height }) {
  const ratio = Math.min(2, devicePixelRatio || 1), to = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const w = Math.round(size.width * ratio), h = Math.round(height * ratio);
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  to.setTransform(ratio, 0, 0, ratio, 0, 0);
  to.clearRect(0, 0, size.width, height);
  return to;
}

function paintBase(/** @type {HTMLCanvasElement} */ canvas, /** @type {any} */ at, /** @type {any} */ state) {
  const { graphs, layout, kept, theme, only, flipped, joins } = state, to = cleared(canvas, state);
  to.translate(at.x, at.y);
  to.scale(at.k, at.k);
  const pen = canvasPen(to, at.k);
  paintBands(pen, layout, theme);
  if (joins.length) {
    const [a, b] = layout.panes;
    pen.curves(joins.flatMap((/** @type {number[]} */ [i, j]) => [a.x[i], a.y[i], b.x[j], b.y[j]]), { colour: theme.quiet, alpha: 0.5, dash: [1, 4] });
  }
  graphs.forEach((/** @type {Graph} */ graph, /** @type {number} */ g) => {
    const edges = [];
    for (let i = graph.order.length - 1; i >= 0; i--) if (kept[g].edges[graph.order[i]]) edges.push(graph.order[i]);
    paintEdges(pen, graph, layout.panes[g], edges, theme, { flipped: flipped[g] ?? null });
    paintNodes(pen, graph, layout.panes[g], layout, indices(kept[g].nodes), theme, { only: only[g] ?? null, labels: at.k >= READABLE });
  });
}

function* indices(/** @type {Uint8Array} */ flags) {
  for (let i = 0; i < flags.length; i++) if (flags[i]) yield i;
}

function paintTop(/** @type {HTMLCanvasElement} */ canvas, /** @type {any} */ at, /** @type {any} */ state) {
  const { graphs, layout, kept, theme, focus, pinned, parts, titles, only, flipped, joins, size, height, bottom, head } = state;
  const to = cleared(canvas, state), pen = canvasPen(to, at.k);
  to.save();
  to.translate(at.x, at.y);
  to.scale(at.k, at.k);
  for (const spot of [focus, same(focus, pinned) ? null : pinned]) {
    const graph = spot && graphs[spot.graph];
    if (!graph || !kept[spot.graph].nodes[spot.node]) continue;
    const pane = layout.panes[spot.graph];
    if (spot === focus) {
      const edges = [...graph.inputs[spot.node], ...graph.outputs[spot.node]].filter((e) => kept[spot.graph].edges[e]);
      paintEdges(pen, graph, pane, edges, theme, { strong: true, flipped: flipped[spot.graph] ?? null });
      const around = new Set([spot.node, ...edges.flatMap((e) => [graph.sources[e], graph.targets[e]])]);
      paintNodes(pen, graph, pane, layout, around, theme, { only: only[spot.graph] ?? null, zoom: at.k < READABLE ? at.k : 1 });
      for (const [i, j] of joins) if ((spot.graph === 0 ? i : j) === spot.node) {
        const [a, b] = layout.panes, other = 1 - spot.graph;
        pen.curves([a.x[i], a.y[i], b.x[j], b.y[j]], { colour: theme.ink, width: 1.5, dash: [2, 3] });
        paintNodes(pen, graphs[other], layout.panes[other], layout, [other ? j : i], theme, { zoom: at.k < READABLE ? at.k : 1 });
      }
    }
    pen.mark("FEATURE", pane.x[spot.node], pane.y[spot.node], layout.radius + 4, { colour: theme.focus, width: 2 });
  }
  to.restore();
  const flat = canvasPen(to, 1);
  // Names of tokens and layers stay in sight, whatever the zoom.
  flat.box(0, height - bottom, size.width, bottom, { fill: theme.paper });
  flat.box(0, height - bottom, size.width, 1, { fill: theme.band });
  flat.box(0, 0, LEFT - 6, height - bottom, { fill: theme.paper });
  let last = Infinity;
  for (const row of [...layout.rows].reverse()) {
    const y = at.applyY(row.y + Math.min(row.height / 2, 11));
    if (y < 4 || y > height - bottom - 4 || last - y < 11) continue;
    last = y;
    flat.text(rowName(row.layer, layout.rows[0].layer), LEFT - 12, y, { colour: theme.quiet, align: "right" });
  }
  graphs.forEach((/** @type {Graph} */ graph, /** @type {number} */ g) => {
    const pane = layout.panes[g], weights = parts[g] ?? null, most = weights ? Math.max(1e-12, ...weights.map(Math.abs)) : 1;
    const spot = focus?.graph === g ? graph.nodes[focus.node]?.position : -1;
    let end = LEFT - 6, numbered = LEFT - 6;
    /** Where a token's text begins and ends. @param {number} position @returns {[string, number, number]} */
    const placed = (position) => {
      const x = at.applyX(pane.columns[position].anchor), text = cut(graph.tokens[position] ?? "", Math.max(pane.columns[position].width * at.k - 3, LONG));
      const long = text.length * 6.6, from = layout.labelled ? x - 5 : x - long / 2;
      return [text, from, from + long];
    };
    const [, focusFrom, focusTo] = spot >= 0 && pane.columns[spot] ? placed(spot) : ["", Infinity, -Infinity];
    graph.tokens.forEach((_, position) => {
      const { anchor, width } = pane.columns[position], x = at.applyX(anchor), room = width * at.k;
      if (x < LEFT || x > size.width - 4) return;
      // Where columns are narrower than their tokens, some tokens stay away: they give way to the one in focus and to those before.
      const [text, from, to] = placed(position);
      if (spot === position || (from >= end && (to < focusFrom || from > focusTo))) {
        end = to + 3;
        paintToken(flat, text, x, height - bottom + 14, layout.labelled, theme, spot === position);
      }
      const number = weights ? shown(weights[position] ?? 0, 2).length * 3 + 2 : 0;
      if (weights && (x - number >= numbered || spot === position)) {
        numbered = x + number;
        paintPart(flat, weights[position] ?? 0, most, x, height - bottom + 26, theme, room / 2);
      }
    });
    if (titles[g]) {
      const x = Math.max(LEFT, at.applyX(pane.left)), room = Math.min(at.applyX(pane.right), size.width) - x;
      flat.box(x - 4, 0, room + 8, head, { fill: theme.paper });
      if (room > 40) flat.text(cut(titles[g], room, 13), x, 13, { colour: theme.ink, bold: true, size: 13 });
    }
  });
}
