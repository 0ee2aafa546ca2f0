// Which of these names does the database not contain?
// One row for each unknown name: its kind (circuit, feature, family, tag, tool, slug, creator or source URL) and the name as given.
// $circuits, $features: ids.
// $families, $tags: names.
// $tool, $slug, $creator, $source_url: properties of imported circuits; null asks for none.
// Sample answer: kind | name
//   "family" | "no such family"
:param circuits => ["f8d98257b1a3c1872ea8"];
:param features => [];
:param families => ["no such family"];
:param tags => [];
:param tool => null;
:param slug => null;
:param creator => null;
:param source_url => null;

UNWIND [name IN $circuits | ["circuit", name]] + [name IN $features | ["feature", name]]
     + [name IN $families | ["family", name]] + [name IN $tags | ["tag", name]]
     + [["tool", $tool], ["slug", $slug], ["creator", $creator], ["source URL", $source_url]] AS asked
WITH asked[0] AS kind, asked[1] AS name
WHERE name IS NOT NULL AND NOT CASE kind
  WHEN "circuit" THEN EXISTS { MATCH (:Circuit {id: name}) }
  WHEN "feature" THEN EXISTS { MATCH (:Feature {id: name}) }
  WHEN "family" THEN EXISTS { MATCH (:Family {name: name}) }
  WHEN "tag" THEN EXISTS { MATCH (:Tag {name: name}) }
  WHEN "tool" THEN EXISTS { MATCH (:Circuit {tool: name}) }
  WHEN "slug" THEN EXISTS { MATCH (:Circuit {slug: name}) }
  WHEN "creator" THEN EXISTS { MATCH (:Circuit {creator: name}) }
  ELSE EXISTS { MATCH (c:Circuit) WHERE name IN c.source_urls }
END
RETURN DISTINCT kind, name
ORDER BY kind, name
