// The page opens with the query after # in the address.
var start = location.hash ? decodeURIComponent(location.hash.slice(1)) : [
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
  defaultEditorToolsVisibility: false,
  shouldPersistHeaders: false
};
if (location.hash) settings.query = start;
ReactDOM.render(React.createElement(GraphiQL, settings), document.getElementById("graphiql"));
