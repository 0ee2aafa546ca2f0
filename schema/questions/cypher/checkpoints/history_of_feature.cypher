// How did a feature change over the checkpoints of its training run?
// One row for each checkpoint, in the order of steps: the feature with the same layer and index, the number of its
// circuits, and its similarity to the feature at `next_step`, the next checkpoint where a circuit has it. `influence`
// is the mean over the circuits that have the feature. Features of transcoders that belong to no checkpoint have no
// rows.
// $keys: ids of features.
// Sample answer: key | checkpoint | step | feature | n_circuits | n_considered | influence | cosine | agreement | next_step
//   "organism-clt@bc6b1148c1d8/5/453" | "1304be6d2022bb37000b" | 30 | "organism-clt@bc6b1148c1d8/5/453" | 15 | 24 |
//     0.00198 | 1 | 0.48 | 60
//   "organism-clt@bc6b1148c1d8/5/453" | "4d5edbb0ed51e104d6ac" | 60 | "organism-clt@4eb564aeb0c1/5/453" | 2 | 24 |
//     0.021 | null | null | null
:param keys => COLLECT { MATCH (f:Feature)-[:SAME_AS]->() RETURN f.id ORDER BY f.n_circuits DESC, f.id LIMIT 1 };

UNWIND $keys AS key
MATCH (f:Feature {id: key})-[:IN]->(own:TranscoderSet)<-[:READ_BY]-(here:Checkpoint)
MATCH (k:Checkpoint {series: here.series})-[:READ_BY]->(t:TranscoderSet)
OPTIONAL MATCH (g:Feature {id: t.id + substring(f.id, size(own.id))})
CALL (g) { MATCH (g)<-[u:USES]-() RETURN count(u) AS n_circuits, avg(u.influence) AS influence }
OPTIONAL MATCH (g)-[s:SAME_AS]->(:Feature)-[:IN]->(:TranscoderSet)<-[:READ_BY]-(next:Checkpoint)
RETURN key, k.id AS checkpoint, k.step AS step, g.id AS feature, n_circuits,
       COUNT { (t)<-[:BY]-() } AS n_considered, influence, s.cosine AS cosine, s.agreement AS agreement,
       next.step AS next_step
ORDER BY key, step, checkpoint
