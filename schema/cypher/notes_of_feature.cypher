// On what share of a corpus's tokens does a feature fire, and which tokens does it promote and suppress?
// From `atlas examples` or feature files; absent before.
:param keys => ["some-transcoders@000000000000/0/1"];

UNWIND $keys AS key
MATCH (f:Feature {id: key})
RETURN key, f.density AS density, coalesce(f.promotes, []) AS promotes, coalesce(f.suppresses, []) AS suppresses
