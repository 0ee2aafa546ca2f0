// Which circuits belong to the prompts of a family, and what are their tokens? At most $limit, by id.
:param family => "capitals";
:param limit => 500;

MATCH (:Family {name: $family})<-[:IN_FAMILY]-(p:Prompt)<-[:OF_PROMPT]-(c:Circuit)
WITH c.id AS id, p.tokens AS tokens
ORDER BY id
WITH collect({circuit: id, tokens: tokens}) AS found
RETURN size(found) AS total, found[..$limit] AS rows
