// What a notebook shows: the drawing of one circuit or two, with hover. The text of drawing.js stands before this text
// in one script, and the data in the element `data`. Nothing is loaded.
/* global canvasPen, keep, layOut, LIGHT, MARGIN, paintEdges, paintNodes, paintWhole, readGraph, shown, svgFile, svgPen */

const data = JSON.parse(document.getElementById("data").textContent);
const graphs = data.circuits.map((each) => readGraph(each.graph, each.tokens));
const kept = graphs.map((graph) => keep(graph, 1, data.edges));
const features = graphs.map((graph) => new Set(graph.nodes.map((node) => node.feature).filter(Boolean)));
const shared = (node) => graphs.length > 1 && node.feature !== null && features.every((each) => each.has(node.feature));
const only = graphs.map((graph) => (graphs.length > 1
  ? Uint8Array.from(graph.nodes, (node) => +(node.kind === "FEATURE" && !shared(node))) : null));
const layout = layOut(graphs, kept.map((each) => each.nodes), { shared });
const titles = data.circuits.map((each) => each.title);
const holder = document.getElementById("drawing"), said = document.getElementById("said");

function draw(focus) {
  const pen = svgPen();
  const size = paintWhole(pen, graphs, layout, kept, LIGHT, { only, titles, focus, parts: data.circuits.map((each) => each.parts) });
  const file = svgFile(pen.markup, size.width, size.height, titles.join(" | "), LIGHT);
  const picture = new DOMParser().parseFromString(file, "image/svg+xml").documentElement;
  holder.replaceChildren(document.adoptNode(picture));
  return size;
}

const size = draw(null);
let last = "";
holder.addEventListener("pointermove", (event) => {
  const box = holder.firstElementChild.getBoundingClientRect(), scale = size.width / box.width;
  const x = (event.clientX - box.left) * scale - MARGIN.left, y = (event.clientY - box.top) * scale - MARGIN.head;
  let focus = null, least = 14 * 14;
  layout.panes.forEach((pane, graph) => pane.x.forEach((at, node) => {
    const d = (at - x) ** 2 + (pane.y[node] - y) ** 2;
    if (kept[graph].nodes[node] && d < least) { least = d; focus = { graph, node }; }
  }));
  const key = JSON.stringify(focus);
  if (key === last) return;
  last = key;
  draw(focus);
  const node = focus && graphs[focus.graph].nodes[focus.node];
  said.textContent = node ? `${node.name}: layer ${node.layer}, position ${node.position}, influence ${shown(node.influence)}` : "Point at a node.";
});
