// How many circuits have both of two features?
// This is the denominator of a recurring effect: only in these circuits could the effect occur.
// $keys: pairs of ids of features.
// $families: names of families; null means all families.
// $units: for each circuit that shares its unit (such as its prompt) with other circuits, the unit; null counts
//   circuits.
// Sample answer: key | both
//   ["organism-clt@247d388dcdf1/1/665", "organism-clt@247d388dcdf1/4/1191"] | 6
:param keys => [["organism-clt@247d388dcdf1/1/665", "organism-clt@247d388dcdf1/4/1191"]];
:param families => null;
:param units => null;

UNWIND $keys AS key
WITH key[0] AS source, collect(DISTINCT key[1]) AS targets
// The circuits of a common feature are gathered once for all that it is asked about with.
MATCH (:Feature {id: source})<-[:USES]-(c:Circuit)
WHERE $families IS NULL
   OR EXISTS { (c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family) WHERE y.name IN $families }
WITH source, targets, collect(c) AS circuits
UNWIND targets AS target
CALL (circuits, target) {
  MATCH (:Feature {id: target})<-[:USES]-(d:Circuit)
  WHERE d IN circuits
  RETURN CASE WHEN $units IS NULL THEN count(d) ELSE count(DISTINCT coalesce($units[d.id], d.id)) END AS both
}
RETURN [source, target] AS key, both
