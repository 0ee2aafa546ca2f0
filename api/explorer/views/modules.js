// Modules: groups of features that drive each other more than chance, over all circuits.

import { address } from "../addresses.js";
import { useAnswer } from "../graphql.js";
import { counted, FeatureLink, Heading, Meter, Pager, Panel, percent, shown, useTitle } from "../parts.js";
import { html } from "../vendor/preact.js";

const MODULES = `query modules($after: String) {
  modules(strongest: 6, first: 20, after: $after) {
    totalCount
    pageInfo { hasNextPage endCursor }
    partition { method modularity nullMean nullSd nFeatures nEffects nModules minCircuits computedAt }
    nodes { id number nFeatures within families { family nFeatures influence share } strongest { strength feature { id layer index labels { text } } } }
  }
}`;

/** @type {import("../parts.js").Column[]} */
const COLUMNS = [
  { name: "module", value: (row) => row.number }, { name: "features", value: (row) => row.nFeatures }, { name: "within", value: (row) => row.within },
  { name: "families", value: (row) => row.families.map((/** @type {any} */ each) => each.family) },
  { name: "strongest", value: (row) => row.strongest.map((/** @type {any} */ each) => each.feature.id) },
];

export function Modules(/** @type {{place: import("../addresses.js").Place}} */ { place }) {
  useTitle("Modules");
  const answer = useAnswer(MODULES, { after: place.params.get("after") }), list = answer.data?.modules, part = list?.partition;
  return html`<${Heading}>Modules<//>
    <p class="quiet">Groups of features whose recurring effects run within the group more than chance lets them.</p>
    <${Panel} title=${list ? counted(list.totalCount, "module") : "Modules"} file="modules" answer=${answer} table=${list ? { columns: COLUMNS, rows: list.nodes } : null}
      note=${part ? `${part.method} over ${counted(part.nFeatures, "feature")} and ${counted(part.nEffects, "effect")} in at least ${counted(part.minCircuits, "circuit")}. Modularity ${shown(part.modularity)}; rewired graphs have ${shown(part.nullMean)} ± ${shown(part.nullSd)}.` : null}>
      ${list && !list.nodes.length ? html`<p>Nobody has computed modules. <code>atlas modules compute</code> does.</p>` : null}
      <div class="grid">${list?.nodes.map((/** @type {any} */ module) => html`<section key=${module.id} class="panel" aria-label=${`Module ${module.number}`}>
        <header><h3>Module ${module.number}</h3><span class="quiet small">${counted(module.nFeatures, "feature")}, ${percent(module.within)} of its effects within</span></header>
        <p class="small">${module.families.slice(0, 4).map((/** @type {any} */ each) => html`<span key=${each.family}><a href=${address("circuits", [], { family: each.family })}>${each.family}</a> <span class="quiet">${percent(each.share)}</span> </span>`)}</p>
        <ul class="plain small">${module.strongest.map((/** @type {any} */ each) => html`<li key=${each.feature.id} class="row ends"><${FeatureLink} feature=${each.feature} /><${Meter} value=${each.strength} most=${module.strongest[0].strength} /></li>`)}</ul>
      </section>`)}</div>
      ${list ? html`<${Pager} list=${list} shownRows=${list.nodes.length} />` : null}
    <//>`;
}
