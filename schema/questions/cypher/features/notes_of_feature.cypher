// On what share of a corpus's tokens does a feature fire, and which tokens does it promote and suppress?
// `atlas examples` or a feature file writes these properties. Before that, `density` is null and the lists are empty.
// $keys: ids of features.
// Sample answer: key | density | promotes | suppresses
//   "organism-clt@247d388dcdf1/1/665" | 0.00976 | ["texas", "us-tx", … 8 more] | ["silver", "42", … 8 more]
:param keys => ["organism-clt@247d388dcdf1/1/665"];

UNWIND $keys AS key
MATCH (f:Feature {id: key})
RETURN key, f.density AS density, coalesce(f.promotes, []) AS promotes, coalesce(f.suppresses, []) AS suppresses
