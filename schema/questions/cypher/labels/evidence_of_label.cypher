// Which evidence does a label rest on?
// `rule` is the rule that was scored; `asked` and `answered` are what a language model was asked and what it
// answered. All three are null for labels of people and labels from `atlas ingest`.
// $keys: ids of labels.
// Sample answer: key | rule | asked | answered
//   "83f0bd08cb6771b7de10" | null | null | null
:param keys => ["83f0bd08cb6771b7de10"];

UNWIND $keys AS key
MATCH (l:Label {id: key})
RETURN key, l.rule AS rule, l.asked AS asked, l.answered AS answered
