// What are the properties of these prompts?
// One row for each prompt that exists.
// $keys: ids of prompts.
// Sample answer: key | text | tokens | token_ids | expected | accepted | split | pair | family | tags
//   "df67c3dfb7af4bd9dceb" | "the capital of the state containing north dallas is" | ["<bos>", "the", … 8 more] | [0,
//     1084, … 8 more] | "austin" | null | "train" | "capital texas/california 1" | "multi-step" | ["answer:austin",
//     "ask:capital", … 2 more]
:param keys => ["df67c3dfb7af4bd9dceb"];

UNWIND $keys AS key
MATCH (p:Prompt {id: key})
RETURN key, p.text AS text, p.tokens AS tokens, p.token_ids AS token_ids, p.expected AS expected,
       p.accepted AS accepted, p.split AS split, p.pair AS pair, head([(p)-[:IN_FAMILY]->(f:Family) | f.name]) AS family,
       COLLECT { MATCH (p)-[:TAGGED]->(g:Tag) RETURN g.name ORDER BY g.name } AS tags
