// Which circuits of a transcoder set are to be diagnosed, and which were already?
// $limit: at most so many of each family, the first by id; null: all. $families null: all.
// Sample answer: circuit | done
//   "07ade21e53ec43ba4632" | false
//   "091d5cd4a3fdc0361a08" | false
//   "0abab6738949d6a3afbe" | false
//   … 157 more rows
:param transcoders => "organism-clt@247d388dcdf1";
:param families => null;
:param limit => 20;

MATCH (c:Circuit)-[:BY]->(:TranscoderSet {id: $transcoders})
WITH c, head([(c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family) | y.name]) AS family
WHERE $families IS NULL OR family IN $families
WITH family, c ORDER BY family, c.id
WITH family, collect(c) AS mine
UNWIND mine[0 .. coalesce($limit, size(mine))] AS c
RETURN c.id AS circuit, EXISTS { (c)-[:DIAGNOSED_BY]->() } AS done
