document.querySelectorAll("a.try").forEach(function (link) {
  link.href = "/graphql#" + encodeURIComponent(link.parentElement.nextElementSibling.textContent);
});
fetch("/readyz").then(function (answer) { return answer.json(); }).then(function (health) {
  document.getElementById("state").textContent = health.status === "ok"
    ? "This atlas holds " + health.circuits + " circuits."
    : "The database does not answer: " + (health.nextStep || health.code) + ".";
});
