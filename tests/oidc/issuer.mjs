/**
 * An OpenID Connect issuer for trying out and for tests: oidc-provider, which is certified, with sign-in forms of its
 * own that take any name without a password. `node issuer.mjs PORT CLIENT_ID CALLBACK…` prints its address.
 *
 * The client's secret is in the variable CLIENT_SECRET.
 */

import { once } from "node:events";
import { createServer } from "node:http";
import Provider from "oidc-provider";

const [port, clientId, ...callbacks] = process.argv.slice(2);
const server = createServer().listen(Number(port), "127.0.0.1");
await once(server, "listening");
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: clientId,
      client_secret: process.env.CLIENT_SECRET,
      redirect_uris: callbacks,
      grant_types: ["authorization_code", "client_credentials"],
      application_type: "native", // so that plain HTTP on loopback is allowed
    },
  ],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "groups"] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      name: id,
      email: id.includes("@") ? id : `${id}@example.com`,
      email_verified: !id.startsWith("unverified"),
      groups: id.startsWith("ops") ? ["ops"] : [],
    }),
  }),
  // A program gets a signed token for the API that it names: `resource` (RFC 8707).
  features: {
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({ scope: "", accessTokenFormat: "jwt", jwt: { sign: { alg: "RS256" } } }),
    },
  },
  pkce: { required: () => true },
  cookies: { keys: ["only for trying out"] },
  ttl: { AccessToken: 600, IdToken: 600, Grant: 3600, Interaction: 600, Session: 3600 },
});
server.on("request", provider.callback());
console.log(issuer);
