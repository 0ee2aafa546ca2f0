// Which checkpoints does a training run have, and how good is the model at each checkpoint?
// `atlas checkpoints load` writes checkpoints. Scores are means over the circuits of the checkpoint; n_correct of
// n_judged answers are right. The last columns say how similar the features are to those of the checkpoint
// `started_from`, whose transcoders were the starting point: medians over features, and medians for pairs of
// different features in the columns null_cosine and null_agreement.
// $series: name of a training run; null means all runs.
// $ids: ids of checkpoints; null means all checkpoints.
// Sample answer: key | series | step | transcoders | n_circuits | n_judged | n_correct | replacement_score | error_share | started_from | cosine | agreement | null_cosine | null_agreement | n_features
//   "1304be6d2022bb37000b" | "checkpoints" | 30 | "organism-clt@bc6b1148c1d8" | 24 | 24 | 4 | 0.328 | 0.436 |
//     "4d5edbb0ed51e104d6ac" | 1 | 0.148 | 0.0205 | 0 | 494
//   "4d5edbb0ed51e104d6ac" | "checkpoints" | 60 | "organism-clt@4eb564aeb0c1" | 24 | 24 | 4 | 0.511 | 0.371 | null |
//     null | null | null | null | null
:param series => null;
:param ids => null;

MATCH (k:Checkpoint)-[:READ_BY]->(t:TranscoderSet)
WHERE ($series IS NULL OR k.series = $series) AND ($ids IS NULL OR k.id IN $ids)
OPTIONAL MATCH (k)-[s:STARTED_FROM]->(o:Checkpoint)
CALL (t) {
  MATCH (t)<-[:BY]-(c:Circuit)
  RETURN count(c) AS n_circuits, count(c.correct) AS n_judged, count(CASE WHEN c.correct THEN 1 END) AS n_correct,
         avg(c.replacement_score) AS replacement_score, avg(c.error_share) AS error_share
}
RETURN k.id AS key, k.series AS series, k.step AS step, t.id AS transcoders, n_circuits, n_judged, n_correct,
       replacement_score, error_share, o.id AS started_from, s.cosine AS cosine, s.agreement AS agreement,
       s.null_cosine AS null_cosine, s.null_agreement AS null_agreement, s.n_features AS n_features
ORDER BY series, step, key
