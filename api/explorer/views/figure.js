// A figure of `atlas figure`: drawn by the server from GraphQL's answer, for all circuits or some.

import { change } from "../addresses.js";
import { useAnswer } from "../graphql.js";
import { Panel } from "../parts.js";
import { oneTable } from "../saving.js";
import { html, useEffect, useMemo, useState } from "../vendor/preact.js";

const CHOICES = `query choices { families { name nCircuits } }`;
const FIRST = "flow";

/** The variables that choose a family, where the figure's question has one for it. @param {any} figure @param {string} family */
function ofFamily(figure, family) {
  const names = figure.variables.map((/** @type {any} */ each) => each.name);
  if (!family) return {};
  return names.includes("families") ? { families: [family] } : names.includes("family") ? { family } : names.includes("filter") ? { filter: { families: [family] } } : {};
}

/** An address of the picture. The page's policy lets images come from the page itself. @param {string|undefined} svg */
function usePictureAddress(svg) {
  const [at, setAt] = useState("");
  useEffect(() => {
    if (!svg) return undefined;
    const made = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
    setAt(made);
    return () => URL.revokeObjectURL(made);
  }, [svg]);
  return at;
}

export function FigurePanel() {
  const params = new URLSearchParams(location.search), name = params.get("figure") ?? FIRST, family = params.get("family") ?? "";
  const list = useAnswer("", {}, { from: "/figures" }), choices = useAnswer(CHOICES);
  const figure = list.data?.figures.find((/** @type {any} */ each) => each.name === name);
  const variables = useMemo(() => (figure ? ofFamily(figure, family) : {}), [figure, family]);
  const from = `/figures/${encodeURIComponent(name)}.json?variables=${encodeURIComponent(JSON.stringify(variables))}`;
  const answer = useAnswer(figure?.query ?? "", variables, { skip: !figure, from });
  const { data } = answer, picture = usePictureAddress(data?.svg);
  return html`<${Panel} title="Figures" file=${`figure ${name} ${family}`} answer=${figure ? answer : list} data=${data?.answer} table=${data ? oneTable(data.answer) : null} picture=${data ? () => data.svg : null} quiet=${["NOT_FOUND"]}
    note=${html`Each figure is drawn from the answer to its query. <code>atlas figure ${name} --out ${name}.svg</code> draws it too.`}>
    <div class="sliders">
      <label>Figure <select value=${name} onChange=${(/** @type {any} */ event) => change({ figure: event.target.value }, { replace: true })}>
        ${(list.data?.figures ?? []).map((/** @type {any} */ each) => html`<option key=${each.name} value=${each.name}>${each.name}</option>`)}</select></label>
      <label>Family <select value=${family} onChange=${(/** @type {any} */ event) => change({ family: event.target.value }, { replace: true })}>
        <option value="">all</option>${(choices.data?.families ?? []).map((/** @type {any} */ each) => html`<option key=${each.name} value=${each.name}>${each.name} (${each.nCircuits})</option>`)}</select></label>
    </div>
    ${list.data && !figure ? html`<p class="quiet">There is no figure ${name}.</p>` : null}
    ${figure && data && picture && !answer.error ? html`<p class="scroll" role="region" aria-label="Picture" tabindex="0"><img class="figure" src=${picture} alt=${figure.title} /></p><p class="small quiet">${figure.title}.</p>` : null}
  <//>`;
}
