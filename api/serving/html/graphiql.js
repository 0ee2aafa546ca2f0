// The page opens with the query after # in the address, and with the JSON of its variables after &variables=.
var given = location.hash.slice(1).split("&variables=");
var start = given[0] ? decodeURIComponent(given[0]) : [
  "# The circuit atlas. Every field is described under Docs (the book, top left).",
  "# Run with Ctrl-Enter, complete with Ctrl-Space.",
  "",
  "{",
  "  families { name nPrompts nCircuits accuracy replacementScore errorShare }",
  "}",
  ""
].join("\n");
var settings = {
  fetcher: GraphiQL.createFetcher({ url: location.pathname }),
  defaultQuery: start,
  defaultEditorToolsVisibility: given[1] ? "variables" : false,
  shouldPersistHeaders: false
};
if (given[0]) settings.query = start;
if (given[1]) settings.variables = decodeURIComponent(given[1]);
ReactDOM.render(React.createElement(GraphiQL, settings), document.getElementById("graphiql"));
