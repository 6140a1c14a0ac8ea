const form = document.getElementById("reset");
const result = document.getElementById("result");

// The token stands behind the hash, so that it was in no request so far; it is taken out of the history, too.
form.elements.token.value = location.hash.slice(1);
history.replaceState(null, "", location.pathname);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { token, username, code, new_password, new_password_confirm } = Object.fromEntries(new FormData(form));
  const proof = code ? { method: "code", username, code } : { method: "token", token };
  const response = await fetch("/api/auth/password-reset/confirm/", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...proof, new_password, new_password_confirm }),
  });
  const body = await response.json();
  if (response.ok) {
    form.remove();
  }
  result.textContent = body.message ?? body.detail ?? Object.values(body).flat().join(" ");
});
