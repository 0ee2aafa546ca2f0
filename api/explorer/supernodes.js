// The supernode view: a graph whose features are drawn together by supernode.

/** @typedef {import("./drawing.js").Graph} Graph */
import { readGraph } from "./drawing.js";

/**
 * A graph with one node for each supernode that is not opened, the features of opened ones, tokens and answers. Effects
 * between the same two nodes are added up. Features outside the groups, and error nodes, are left out. A feature in
 * several supernodes counts in the first. @param {Graph} graph @param {any[]} groups supernodes with members
 * @param {Set<string>} opened ids of supernodes @returns {Graph}
 */
export function groupedGraph(graph, groups, opened) {
  const at = new Map(graph.nodes.map((node, i) => [node.id, i]));
  /** @type {any[]} */
  const nodes = [];
  const place = new Int32Array(graph.nodes.length).fill(-1);
  graph.nodes.forEach((node, i) => {
    if (node.kind === "TOKEN" || node.kind === "LOGIT") place[i] = nodes.push({ ...node }) - 1;
  });
  for (const group of groups) {
    const members = group.members.map((/** @type {any} */ each) => at.get(each.id)).filter((/** @type {number|undefined} */ i) => i !== undefined && place[i] < 0);
    if (!members.length) continue;
    if (opened.has(group.id)) {
      for (const i of members) place[i] = nodes.push({ ...graph.nodes[i] }) - 1;
      continue;
    }
    const mean = (/** @type {(node: any) => number} */ value) => Math.round(members.reduce((/** @type {number} */ sum, /** @type {number} */ i) => sum + value(graph.nodes[i]), 0) / members.length);
    const node = {
      id: group.id, kind: "GROUP", group: group.id, layer: mean((each) => each.layer), position: group.position ?? mean((each) => each.position), index: null,
      influence: group.influence, cumulative: null, activation: null, token: null, probability: null, feature: null,
      label: `${group.label} (${members.length})`, members: members.map((/** @type {number} */ i) => graph.nodes[i].id),
    };
    nodes.push(node);
    for (const i of members) place[i] = nodes.length - 1;
  }
  /** @type {Map<string, number>} */
  const sums = new Map();
  graph.weights.forEach((weight, e) => {
    const source = place[graph.sources[e]], target = place[graph.targets[e]];
    if (source >= 0 && target >= 0 && source !== target) sums.set(`${source}|${target}`, (sums.get(`${source}|${target}`) ?? 0) + weight);
  });
  const pairs = [...sums].map(([key, weight]) => [...key.split("|").map(Number), weight]);
  return readGraph({ nodes, sources: pairs.map((each) => each[0]), targets: pairs.map((each) => each[1]), weights: pairs.map((each) => each[2]) }, graph.tokens);
}
