const form = document.getElementById("verify");
const result = document.getElementById("result");

// The token stands behind the hash, so that it was in no request so far; it is taken out of the history, too.
form.elements.token.value = location.hash.slice(1);
history.replaceState(null, "", location.pathname);

// Nothing is sent before a click, so that programs which open every link of a mail do not use the token up.
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { token } = Object.fromEntries(new FormData(form));
  const response = await fetch("/api/auth/email/verify/", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token }),
  });
  const body = await response.json();
  if (response.ok) {
    form.remove();
  }
  result.textContent = body.message ?? body.detail ?? Object.values(body).flat().join(" ");
});
