// The chosen colours, before the first paint. Without a choice the page follows the system.
try {
  const chosen = localStorage.getItem("atlas.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // The browser keeps nothing for this page.
}
