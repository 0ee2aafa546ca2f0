// Which of these names does the database not contain?
// One row for each unknown name: its kind (circuit, feature, family or tag) and the name as given.
// $circuits, $features: ids.
// $families, $tags: names.
// Sample answer: kind | name
//   "family" | "no such family"
:param circuits => ["f8d98257b1a3c1872ea8"];
:param features => [];
:param families => ["no such family"];
:param tags => [];

UNWIND [name IN $circuits | ["circuit", name]] + [name IN $features | ["feature", name]]
     + [name IN $families | ["family", name]] + [name IN $tags | ["tag", name]] AS asked
WITH asked[0] AS kind, asked[1] AS name
WHERE NOT CASE kind
  WHEN "circuit" THEN EXISTS { MATCH (:Circuit {id: name}) }
  WHEN "feature" THEN EXISTS { MATCH (:Feature {id: name}) }
  WHEN "family" THEN EXISTS { MATCH (:Family {name: name}) }
  ELSE EXISTS { MATCH (:Tag {name: name}) }
END
RETURN DISTINCT kind, name
ORDER BY kind, name
