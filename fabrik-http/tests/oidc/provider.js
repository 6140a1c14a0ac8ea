// An OpenID provider on a port of its own; it says on standard output where it listens, and ends with its input.
import { Provider } from "oidc-provider";
import http from "node:http";

const redirect = process.argv[2];
const people = {
  "sub-mara": {
    preferred_username: "mara", email: "mara@idp.example", email_verified: true,
    given_name: "Mara", family_name: "Lind", groups: ["staff", "admins"],
  },
  "sub-ben": { preferred_username: "ben", email: "ben@idp.example", email_verified: false, groups: ["staff"] },
  "sub-taken": { preferred_username: "root", email: "root@idp.example", email_verified: true, groups: ["staff"] },
};

const server = http.createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{ client_id: "fabrik", client_secret: "provider secret", redirect_uris: [redirect] }],
    claims: {
      openid: ["sub"],
      profile: ["preferred_username", "given_name", "family_name", "groups"],
      email: ["email", "email_verified"],
    },
    findAccount: (_, id) => people[id] && { accountId: id, claims: () => ({ sub: id, ...people[id] }) },
    pkce: { required: () => true, methods: ["S256"] },
    cookies: { keys: ["a key of the test"] },
  });
  server.on("request", provider.callback());
  console.log(issuer);
});

process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
