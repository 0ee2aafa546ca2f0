// Which transcoder sets do these ids or names mean?
// One row for each name and set. A name can mean several sets, of different revisions.
// $names: ids or names of transcoder sets.
// Sample answer: name | transcoders
//   "organism-clt" | "organism-clt@247d388dcdf1"
:param names => ["organism-clt"];

UNWIND $names AS name
MATCH (t:TranscoderSet)
WHERE t.id = name OR t.name = name
RETURN name, t.id AS transcoders
ORDER BY name, transcoders
