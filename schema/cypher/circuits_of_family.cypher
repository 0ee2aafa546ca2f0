// Which circuits belong to the prompts of a family, and what are their tokens? At most $limit, by id.
// Sample answer: total | rows
//   60 | [{circuit: "026e0f62f6b68348ac81", tokens: ["<bos>", "the", … 8 more]}, {circuit: "08d771b774e9ec1a6dc7",
//     tokens: ["<bos>", "the", … 8 more]}, … 58 more]
:param family => "multi-step";
:param limit => 500;

MATCH (:Family {name: $family})<-[:IN_FAMILY]-(p:Prompt)<-[:OF_PROMPT]-(c:Circuit)
WITH c.id AS id, p.tokens AS tokens
ORDER BY id
WITH collect({circuit: id, tokens: tokens}) AS found
RETURN size(found) AS total, found[..$limit] AS rows
