// Which calls of `atlas ingest` made circuits, those of most circuits first?
:param skip => 0;
:param limit => 20;

MATCH (r:Run)
WITH r, COUNT { (r)<-[:FROM_RUN]-() } AS n_circuits
ORDER BY n_circuits DESC, r.id
WITH collect({key: r.id, settings: r.settings, versions: r.versions, n_circuits: n_circuits}) AS found
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows
