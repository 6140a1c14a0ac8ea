const form = document.getElementById("setup");
const result = document.getElementById("result");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { username, password } = Object.fromEntries(new FormData(form));
  // The token stands behind the hash, so that it was in no request so far.
  const token = location.hash.slice(1);
  const response = await fetch("/api/auth/setup/", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token, username, password }),
  });
  const body = await response.json();
  if (response.ok) {
    form.remove();
    history.replaceState(null, "", location.pathname);
    result.textContent = `${username} is the administrator now.`;
  } else {
    result.textContent = body.detail ?? Object.values(body).flat().join(" ");
  }
});
