// What was a label made from: the rule that was scored, or what a language model was asked and answered?
// All are null for labels of people and of `atlas ingest`.
// Sample answer: key | rule | asked | answered
//   "83f0bd08cb6771b7de10" | null | null | null
:param keys => ["83f0bd08cb6771b7de10"];

UNWIND $keys AS key
MATCH (l:Label {id: key})
RETURN key, l.rule AS rule, l.asked AS asked, l.answered AS answered
