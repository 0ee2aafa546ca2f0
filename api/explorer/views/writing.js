// Forms that write: tags of a prompt, and supernodes. They need the server's token.

import { ask } from "../graphql.js";
import { useWriting } from "../parts.js";
import { html, useState } from "../vendor/preact.js";

const TAG = `mutation tag($prompts: [ID!]!, $tags: [String!]!) { tagPrompts(prompts: $prompts, tags: $tags) { id tags } }`;
const GROUP = `mutation group($circuit: ID!, $nodes: [ID!]!, $label: String!, $author: String!) {
  groupSupernode(circuit: $circuit, nodes: $nodes, label: $label, author: $author) { id label }
}`;
const RENAME = `mutation rename($id: ID!, $label: String!, $author: String!) { renameSupernode(id: $id, label: $label, author: $author) { id label } }`;

/** Sends a mutation and says what came of it. @returns {[string, (query: string, variables: any, done: string) => Promise<any>]} */
export function useSending() {
  const [said, setSaid] = useState("");
  const send = async (/** @type {string} */ query, /** @type {any} */ variables, /** @type {string} */ done) => {
    try {
      const data = await ask(query, variables);
      setSaid(done);
      return data;
    } catch (/** @type {any} */ error) {
      setSaid(`${error.message}${error.nextStep ? ` · ${error.nextStep}` : ""}`);
      return null;
    }
  };
  return [said, send];
}

export function TagForm(/** @type {{prompt: any}} */ { prompt }) {
  const reason = useWriting(), [text, setText] = useState(""), [said, send] = useSending();
  const [added, setAdded] = useState(/** @type {string[]} */ ([]));
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const tags = text.split(",").map((each) => each.trim()).filter(Boolean);
    if (tags.length && (await send(TAG, { prompts: [prompt.id], tags }, "Tagged."))) { setAdded([...added, ...tags]); setText(""); }
  };
  return html`<details class="write"><summary>Tag it</summary>${reason ? html`<p class="quiet">${reason}</p>` : html`<form class="row" onSubmit=${submit}>
    <input value=${text} placeholder="tags, with commas" aria-label="Tags" onInput=${(/** @type {any} */ event) => setText(event.target.value)} /><button type="submit">Store</button>
    <span role="status">${said} ${added.map((tag) => html`<span key=${tag} class="tag">${tag}</span>`)}</span></form>`}</details>`;
}

/** Makes a supernode of ticked features, or names one of a person anew. */
export function GroupForm(/** @type {{circuit: any, whole: any, supernodes: any[], again: () => void}} */ { circuit, whole, supernodes, again }) {
  const reason = useWriting(), [said, send] = useSending();
  const [label, setLabel] = useState(""), [author, setAuthor] = useState(""), [chosen, setChosen] = useState(/** @type {string[]} */ ([])), [renamed, setRenamed] = useState("");
  const features = whole.nodes.filter((/** @type {any} */ node) => node.kind === "FEATURE").sort((/** @type {any} */ a, /** @type {any} */ b) => b.strength - a.strength).slice(0, 200);
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const given = { label: label.trim(), author: author.trim() };
    const done = renamed ? await send(RENAME, { id: renamed, ...given }, "The supernode has its new name.")
      : chosen.length ? await send(GROUP, { circuit: circuit.id, nodes: chosen, ...given }, "The supernode is stored. Choose its grouping above to see it.") : null;
    if (done) { setChosen([]); setLabel(""); again(); }
  };
  return html`<details class="write"><summary class="small">Group and name</summary>${reason ? html`<p class="quiet small">${reason}</p>` : html`<form onSubmit=${submit}>
    <p class="row"><label>Name <input required maxlength="200" value=${label} onInput=${(/** @type {any} */ event) => setLabel(event.target.value)} /></label>
      <label>Your name <input required maxlength="100" size="10" value=${author} onInput=${(/** @type {any} */ event) => setAuthor(event.target.value)} /></label>
      <label>What <select value=${renamed} onChange=${(/** @type {any} */ event) => setRenamed(event.target.value)}><option value="">a new supernode of the features below</option>
        ${supernodes.map((each) => html`<option key=${each.id} value=${each.id}>new name for ${each.label}</option>`)}</select></label><button type="submit">Store</button></p>
    ${renamed ? null : html`<label>Features (several with Ctrl or Shift) <select multiple size="8" onChange=${(/** @type {any} */ event) => setChosen([...event.target.selectedOptions].map((each) => each.value))}>
      ${features.map((/** @type {any} */ node) => html`<option key=${node.id} value=${node.id} selected=${chosen.includes(node.id)}>${node.short} · L${node.layer} · ${whole.tokens[node.position] ?? node.position}</option>`)}</select></label>`}
    </form>`}<p class="small" role="status">${said}</p></details>`;
}
