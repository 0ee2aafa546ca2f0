// What is known of these features, and in how many circuits do they take part?
:param keys => ["some-transcoders@000000000000/0/1"];

UNWIND $keys AS key
MATCH (f:Feature {id: key})-[:IN]->(t:TranscoderSet)
RETURN key, f.layer AS layer, f.index AS number, t.id AS transcoders, COUNT { (f)<-[:USES]-() } AS circuits
