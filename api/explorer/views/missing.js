// An address that names no view, and things that do not exist.

import { Heading, useTitle } from "../parts.js";
import { html } from "../vendor/preact.js";

export function Missing({ what = "There is no view at this address." }) {
  useTitle("Not found");
  return html`<${Heading}>Not found<//><p>${what}</p><p><a href="/circuits">All circuits</a> · <a href="/">Start</a></p>`;
}
