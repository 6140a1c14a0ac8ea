const result = document.getElementById("result");
const second = document.getElementById("second");
const told = new URLSearchParams(location.hash.slice(1));
// The code is good once; it need not stand in the history, too.
history.replaceState(null, "", location.pathname);

const REASONS = {
  denied: "The provider did not let you in.",
  expired: "The login took too long or was begun in another browser. Try again.",
  invalid: "The answer of the provider is not valid.",
  name: "The provider told a name that belongs to another account, or none. Ask your administrator.",
  not_allowed: "You may not log in here. Ask your administrator.",
  unavailable: "The provider cannot be reached. Try again later.",
};

const post = async (path, body) => {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  return { status: response.status, body: await response.json() };
};

// A link may hold anything as its next, so only an address of this server counts.
const next = () => {
  try {
    const url = new URL(told.get("next") ?? "/", location.origin);
    return url.origin === location.origin ? url.href : "/";
  } catch {
    return "/";
  }
};

const go = ({ status, body }) => {
  if (status === 200) {
    sessionStorage.setItem("fabrik.tokens", JSON.stringify({ access: body.access, refresh: body.refresh }));
    result.textContent = `Logged in as ${body.user.username}.`;
    location.replace(next());
  } else if (status === 202) {
    second.hidden = false;
    second.onsubmit = async (event) => {
      event.preventDefault();
      const code = new FormData(second).get("code");
      go(await post("/api/auth/mfa-login/", { mfa_token: body.mfa_token, code }));
    };
  } else {
    result.textContent = body.detail ?? Object.values(body).flat().join(" ");
  }
};

if (told.has("code")) {
  post("/api/auth/oidc/token/", { code: told.get("code") }).then(go);
} else {
  result.textContent = REASONS[told.get("error")] ?? "There is no login under way.";
}
