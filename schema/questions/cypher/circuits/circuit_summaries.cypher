// Which prompt, answer and replacement score do these circuits have?
// One row for each circuit that exists. A short form of circuits_by_id.cypher.
// $keys: ids of circuits.
// Sample answer: key | prompt | transcoders | replacement_score | answer | correct
//   "f8d98257b1a3c1872ea8" | "df67c3dfb7af4bd9dceb" | "organism-clt@247d388dcdf1" | 0.946 | "austin" | true
:param keys => ["f8d98257b1a3c1872ea8"];

UNWIND $keys AS key
MATCH (p:Prompt)<-[:OF_PROMPT]-(c:Circuit {id: key})-[:BY]->(t:TranscoderSet)
RETURN key, p.id AS prompt, t.id AS transcoders, c.replacement_score AS replacement_score,
       c.answer AS answer, c.correct AS correct
