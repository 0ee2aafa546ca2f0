// Which circuits share their prompt with other circuits?
// One row for each prompt. Every prompt has a circuit, so without more circuits than prompts there is nothing to look
// for.
// $all: true lists every prompt, false only prompts of several circuits.
// Sample answer: prompt | text | pair | family | circuits | transcoders
//   "0081a62d15bac9ad64d1" | "poem : he liked the word queen / warm from the oven was some" | "poem he-liked-the-word
//     food" | "poetry" | ["574961bedbf064a0cec8"] | ["organism-clt@247d388dcdf1"]
//   "01200b470f90a2e1d1e2" | "calc : 56 + 79 =" | "ones 6+9" | "arithmetic" | ["25088f32fad9079a78b9"] |
//     ["organism-clt@247d388dcdf1"]
//   "01212e8db4a23b24700c" | "the code of the state containing west dallas is" | "code florida/oregon 1" |
//     "multi-step" | ["8177eec2d2e4b94bcc68"] | ["organism-clt@247d388dcdf1"]
//   … 363 more rows
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
