// Writes LICENSES.txt: name, version and licence of every package that is part of a vendored file.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";

const bundled = /^(d3-.*|htm|preact)$/;
const texts = readdirSync("node_modules").filter((name) => bundled.test(name)).sort().map((name) => {
  const about = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
  const file = readdirSync(`node_modules/${name}`).find((each) => /^licen[cs]e/i.test(each));
  return `${name} ${about.version} (${about.license})\n\n${readFileSync(`node_modules/${name}/${file}`, "utf8").trim()}\n`;
});
writeFileSync("LICENSES.txt", texts.join(`\n${"-".repeat(72)}\n\n`));
