// Does the database answer, and how many circuits does it hold?
// One row.
// Sample answer: circuits
//   366

MATCH (c:Circuit)
RETURN count(c) AS circuits
