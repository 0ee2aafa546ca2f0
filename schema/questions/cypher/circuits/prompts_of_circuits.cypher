// Which circuits share their prompt with other circuits?
// One row for each prompt. Every prompt has a circuit, so without more circuits than prompts there is nothing to look
// for.
// $all: true lists every prompt, false only prompts of several circuits.
// Sample answer: prompt | text | pair | family | circuits | transcoders
//   "df67c3dfb7af4bd9dceb" | "the capital of the state containing north dallas is" | "capital texas/california 1" |
//     "multi-step" | ["f8d98257b1a3c1872ea8"] | ["organism-clt@247d388dcdf1"]
//   … 365 more rows
:param all => true;

CALL () { MATCH (:Circuit) RETURN count(*) AS n_circuits }
CALL () { MATCH (:Prompt) RETURN count(*) AS n_prompts }
WITH n_circuits, n_prompts
WHERE $all OR n_circuits > n_prompts
MATCH (p:Prompt)
WHERE $all OR COUNT { (p)<-[:OF_PROMPT]-() } > 1
MATCH (p)<-[:OF_PROMPT]-(c:Circuit)-[:BY]->(t:TranscoderSet)
WITH p, c, t ORDER BY p.id, c.id
RETURN p.id AS prompt, p.text AS text, p.pair AS pair,
       head([(p)-[:IN_FAMILY]->(y:Family) | y.name]) AS family, collect(c.id) AS circuits, collect(t.id) AS transcoders
