// Which runs of `atlas ingest` and `atlas import` made circuits?
// Runs with the most circuits come first. Settings and versions are JSON.
// $skip, $limit: the page, as numbers of rows. `total` counts the rows of all pages.
// Sample answer: total | rows
//   1 | [{settings: "{"edge_threshold":0.98,"first_token":"left-out","max_featur…", n_circuits: 366, versions:
//     "{"circuit-atlas":"0.1.0","torch":"2.15.0","transformers":"5…", key: "6321922fccc6281d34f9"}]
:param skip => 0;
:param limit => 20;

MATCH (r:Run)
WITH r, COUNT { (r)<-[:FROM_RUN]-() } AS n_circuits
ORDER BY n_circuits DESC, r.id
WITH collect({key: r.id, settings: r.settings, versions: r.versions, n_circuits: n_circuits}) AS found
RETURN size(found) AS total, found[$skip .. $skip + $limit] AS rows
