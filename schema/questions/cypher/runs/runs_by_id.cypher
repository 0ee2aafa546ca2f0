// Which settings and versions did these runs have?
// One row for each run that exists. Settings and versions are JSON.
// $keys: ids of runs.
// Sample answer: key | settings | versions
//   "6321922fccc6281d34f9" | "{"edge_threshold":0.98,"first_token":"left-out","max_featur…" |
//     "{"circuit-atlas":"0.1.0","torch":"2.15.0","transformers":"5…"
:param keys => COLLECT { MATCH (r:Run) RETURN r.id };

UNWIND $keys AS key
MATCH (r:Run {id: key})
RETURN key, r.settings AS settings, r.versions AS versions
