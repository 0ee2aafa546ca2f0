// What is known of these prompts?
:param keys => ["00000000000000000000"];

UNWIND $keys AS key
MATCH (p:Prompt {id: key})
RETURN key, p.text AS text, p.tokens AS tokens, p.token_ids AS token_ids, p.expected AS expected,
       p.split AS split, p.pair AS pair, head([(p)-[:IN_FAMILY]->(f:Family) | f.name]) AS family,
       COLLECT { MATCH (p)-[:TAGGED]->(g:Tag) RETURN g.name ORDER BY g.name } AS tags
