// With which settings and versions was this made?
:param keys => ["00000000000000000000"];

UNWIND $keys AS key
MATCH (r:Run {id: key})
RETURN key, r.settings AS settings, r.versions AS versions
