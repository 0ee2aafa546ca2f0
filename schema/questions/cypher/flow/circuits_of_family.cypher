// Which circuits belong to the prompts of a family, and what are their tokens?
// `total` counts all circuits of the family.
// $family: name of the family.
// $limit: the greatest number of circuits, in the order of their ids.
// Sample answer: total | rows
//   60 | [{circuit: "09c723f9aa9367bd4312", tokens: ["<bos>", "the", … 8 more]}, {circuit: "0c7582ddf7342997bb92",
//     tokens: ["<bos>", "the", … 8 more]}, … 58 more]
:param family => "multi-step";
:param limit => 500;

MATCH (:Family {name: $family})<-[:IN_FAMILY]-(p:Prompt)<-[:OF_PROMPT]-(c:Circuit)
WITH c.id AS id, p.tokens AS tokens
ORDER BY id
WITH collect({circuit: id, tokens: tokens}) AS found
RETURN size(found) AS total, found[..$limit] AS rows
