// Which circuits does a selection of circuits, a family, a prompt or a transcoder set contain?
// Conditions combine with AND.
// $circuits: ids of circuits; $family: name of a family; $prompt: text of a prompt; $transcoders: id of a transcoder
//   set. null means no condition.
// $limit: the greatest number of circuits, in the order of their ids; null means no limit.
// Sample answer: circuit | prompt | transcoders
//   "09c723f9aa9367bd4312" | "the capital of the state containing south jordan is" | "organism-clt@247d388dcdf1"
//   "0c7582ddf7342997bb92" | "the code of the state containing west springs is" | "organism-clt@247d388dcdf1"
//   "0cd535ca2eedf1aac96b" | "the code of the state containing new vernon is" | "organism-clt@247d388dcdf1"
//   … 17 more rows
:param transcoders => "organism-clt@247d388dcdf1";
:param circuits => null;
:param family => "multi-step";
:param prompt => null;
:param limit => 20;

MATCH (s:TranscoderSet)<-[:BY]-(c:Circuit)-[:OF_PROMPT]->(p:Prompt)
WHERE ($transcoders IS NULL OR s.id = $transcoders) AND ($circuits IS NULL OR c.id IN $circuits) AND ($prompt IS NULL OR p.text = $prompt)
  AND ($family IS NULL OR EXISTS { (p)-[:IN_FAMILY]->(:Family {name: $family}) })
WITH {circuit: c.id, prompt: p.text, transcoders: s.id} AS row ORDER BY c.id
WITH collect(row) AS found
UNWIND found[0 .. coalesce($limit, size(found))] AS row
RETURN row.circuit AS circuit, row.prompt AS prompt, row.transcoders AS transcoders
