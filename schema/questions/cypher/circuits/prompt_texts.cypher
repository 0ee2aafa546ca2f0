// Which texts do these prompts have?
// One row for each prompt that exists. A short form of prompts_by_id.cypher.
// $keys: ids of prompts.
// Sample answer: key | text
//   "df67c3dfb7af4bd9dceb" | "the capital of the state containing north dallas is"
:param keys => ["df67c3dfb7af4bd9dceb"];

UNWIND $keys AS key
MATCH (p:Prompt {id: key})
RETURN key, p.text AS text
