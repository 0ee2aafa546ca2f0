// Which circuits of a transcoder set have heads, and which of these circuits were ablated already?
// $transcoders: id of the transcoder set.
// $families: names of families; null means all families.
// $limit: the greatest number of circuits of each family, in the order of their ids; null means no limit.
// Sample answer: circuit | done
//   "003026d88f5d969d5fd1" | true
//   "08a6e3cd3b2edb3d19d3" | true
//   "108a7a9798114f91c205" | true
//   … 157 more rows
:param transcoders => "organism-clt@247d388dcdf1";
:param families => null;
:param limit => 20;

MATCH (c:Circuit)-[:BY]->(:TranscoderSet {id: $transcoders})
WHERE EXISTS { (c)-[:RUNS_THROUGH]->(:Head) }
WITH c, head([(c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family) | y.name]) AS family
WHERE $families IS NULL OR family IN $families
WITH family, c ORDER BY family, c.id
WITH family, collect(c) AS mine
UNWIND mine[0 .. coalesce($limit, size(mine))] AS c
RETURN c.id AS circuit, EXISTS { (c)-[:ABLATED]->(:ComponentEffects) } AS done
