// A real OpenID provider for tests and the demo: npm oidc-provider with a login page of its own that needs no browser.
//
//   node provider.mjs CONFIG.json
//
// It issues JWT access tokens (RFC 9068) for one audience over the code flow with PKCE, plain, bound to the certificate
// of whoever asks at the token endpoint (RFC 8705) or to a DPoP key (RFC 9449), and honours acr_values and max_age
// (OpenID Connect Core 1.0, section 3.1.2.1), so that the challenge of RFC 9470 can be answered. It listens on loopback
// alone, keeps everything in memory, and says one line of JSON on stdout for what happens. SIGTERM ends it.
//
// CONFIG.json, written by cmd/tiergate-demo/oidc (Config):
//   modules     the directory that holds node_modules with oidc-provider
//   listen      host:port; the issuer is https://host:port
//   certFile, keyFile, clientCAFile    PEM: the server's certificate and key, and who signs clients' certificates
//   audience    aud of the access tokens
//   resources   what else tokens may be for, where the client asks for it by resource (RFC 8707)
//   tokenTTL    seconds that an access token lives
//   redirectURI where the one client is sent back; nobody listens there, the client reads the answer itself
//   clients     client_id -> "bearer", "certificate" or "dpop": what its tokens are bound to
//   users       sub -> {password, groups, email}
//   authTimeMoves  true: every token says that its user logged in just now, as issuers do that count a refresh as a login
//   control     the secret of POST /control/rotate, which replaces the signing key, and of POST /control/groups with a
//               form of user and groups (separated by spaces), which says what groups a user is in from now on
import { createHash, generateKeyPairSync, timingSafeEqual, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const [host, port] = config.listen.split(':');
if (host !== '127.0.0.1') throw new Error(`${config.listen} is not on 127.0.0.1; this provider is for tests alone`);

// The package is not beside this file, so that nothing is installed into the source tree.
const require = createRequire(pathToFileURL(join(config.modules, 'provider.mjs')));
const { default: Provider, errors, interactionPolicy } = await import(pathToFileURL(require.resolve('oidc-provider')));

const issuer = `https://${config.listen}`;
const say = (event, more) => console.log(JSON.stringify({ time: new Date().toISOString(), event, ...more }));

// How one can log in, and what the provider then says of the login.
const methods = {
  password: { amr: ['pwd'] },
  key: { acr: 'phr', amr: ['pwd', 'hwk', 'user'] }, // resists phishing (acr of OpenID EAP ACR values 1.0)
};

// prompts asks for a login where the one of the session is not what acr_values wants. oidc-provider does that for
// max_age by itself. A login that was done for this very request is taken as it is: acr_values is a wish.
function prompts() {
  const { Check, base } = interactionPolicy;
  const policy = base();
  policy.get('login').checks.add(new Check('acr_values', 'another kind of login was asked for', ({ oidc }) => {
    const wanted = oidc.params.acr_values?.split(' ') ?? [];
    const good = wanted.length === 0 || wanted.includes(oidc.session.acr) || oidc.result?.login;
    return good ? Check.NO_NEED_TO_PROMPT : Check.REQUEST_PROMPT;
  }));
  return policy;
}

function clientOf([client_id, binding]) {
  return {
    client_id,
    token_endpoint_auth_method: 'none', // a public client has no secret; PKCE proves that it is the same one
    redirect_uris: [config.redirectURI],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    tls_client_certificate_bound_access_tokens: binding === 'certificate',
    dpop_bound_access_tokens: binding === 'dpop',
  };
}

// peerCertificate is that of the TLS connection, if one of our CAs signed it.
function peerCertificate({ socket }) {
  const raw = socket.authorized ? socket.getPeerCertificate()?.raw : undefined;
  return raw && new X509Certificate(raw);
}

// everything that the client asks for is granted: the applications are the company's own.
async function grantAll(ctx) {
  const { provider, client, session, requestParamScopes } = ctx.oidc;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope([...requestParamScopes].join(' '));
  await grant.save();
  return grant;
}

// claimsOf is what access tokens say of the user and of the login that the code, or the refresh token, came from.
async function claimsOf(ctx, token) {
  const login = ctx.oidc.entities.RefreshToken ?? ctx.oidc.entities.AuthorizationCode;
  const user = config.users[token.accountId];
  return {
    groups: user.groups,
    ...(user.email && { email: user.email, email_verified: true }),
    ...(login.acr && { acr: login.acr }),
    amr: login.amr,
    auth_time: config.authTimeMoves ? Math.floor(Date.now() / 1000) : login.authTime,
    sid: login.sessionUid, // of the browser's session, the same for every application
  };
}

function newKey() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256' };
}

function newProvider(keys) {
  const provider = new Provider(issuer, {
    jwks: { keys },
    clients: Object.entries(config.clients).map(clientOf),
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    acrValues: Object.values(methods).flatMap(({ acr }) => acr ?? []),
    scopes: ['openid'],
    cookies: { keys: [config.control] },
    ttl: {
      AccessToken: config.tokenTTL, AuthorizationCode: 60, Grant: 3600, IdToken: 300, Interaction: 300, Session: 3600,
      RefreshToken: 3600,
    },
    issueRefreshToken: () => true,
    interactions: { policy: prompts(), url: (_, interaction) => `/login/${interaction.uid}` },
    findAccount: (_, id) => Object.hasOwn(config.users, id) && { accountId: id, claims: () => ({ sub: id }) },
    loadExistingGrant: grantAll,
    extraTokenClaims: claimsOf,
    features: {
      devInteractions: { enabled: false },
      dPoP: { enabled: true },
      mTLS: { enabled: true, certificateBoundAccessTokens: true, getCertificate: peerCertificate },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => config.audience,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => {
          if (![config.audience, ...(config.resources ?? [])].includes(resource)) throw new errors.InvalidTarget();
          return {
            scope: '', audience: resource, accessTokenTTL: config.tokenTTL,
            accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } },
          };
        },
      },
    },
  });
  provider.on('grant.success', ({ oidc }) => {
    say('token issued', { user: oidc.entities.Account?.accountId, client: oidc.client.clientId });
  });
  provider.on('server_error', (_, error) => say('server error', { error: String(error?.stack) }));
  for (const event of ['authorization.error', 'grant.error', 'interaction.error']) {
    provider.on(event, (_, { message, error_description, error_detail }) => {
      say(event, { error: message, detail: error_detail ?? error_description });
    });
  }
  return provider;
}

let keys = [newKey()];
let provider = newProvider(keys);
let callback = provider.callback();

// rotate signs with a new key from now on. The one before stays published for the tokens that it signed; older ones go.
function rotate() {
  keys = [newKey(), keys[0]];
  provider = newProvider(keys);
  callback = provider.callback();
  say('keys rotated');
}

async function formOf(request) {
  let body = '';
  for await (const chunk of request) {
    body += chunk;
    if (body.length > 4096) throw new Error('the form is longer than 4096 bytes');
  }
  return new URLSearchParams(body);
}

function answer(response, status, text) {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' });
  response.end(`${text}\n`);
}

const digest = (text) => createHash('sha256').update(text).digest();
const same = (a, b) => timingSafeEqual(digest(a), digest(b));

// login is the whole page: a form of user, password, method (of methods) and age, which lets a test say that the user
// logged in so many seconds ago.
async function login(request, response) {
  if (request.method !== 'POST') {
    const { prompt } = await provider.interactionDetails(request, response);
    return answer(response, 200, `POST user, password, method (${Object.keys(methods)}), because: ${prompt.reasons}`);
  }
  const form = await formOf(request);
  const [user, method] = [form.get('user') ?? '', form.get('method') ?? 'password'];
  const known = Object.hasOwn(config.users, user) && Object.hasOwn(methods, method);
  if (!known || !same(form.get('password') ?? '', config.users[user].password)) {
    say('login refused', { user });
    return answer(response, 403, 'user, password or method is wrong');
  }
  const age = Number(form.get('age') ?? 0);
  if (!Number.isSafeInteger(age) || age < 0) return answer(response, 400, 'age is a number of seconds');
  say('login', { user, method, age });
  const result = { accountId: user, ...methods[method], ts: Math.floor(Date.now() / 1000) - age };
  return provider.interactionFinished(request, response, { login: result }, { mergeWithLastSubmission: false });
}

async function handle(request, response) {
  const { pathname } = new URL(request.url, issuer);
  if (pathname.startsWith('/login/')) return login(request, response);
  if (pathname.startsWith('/control/')) return control(pathname, request, response);
  return callback(request, response);
}

// control is for the test alone: what an administrator of the provider would do.
async function control(pathname, request, response) {
  if (request.method !== 'POST' || !same(request.headers.authorization ?? '', `Bearer ${config.control}`)) {
    return answer(response, 403, 'POST with the secret of the configuration');
  }
  const form = await formOf(request);
  const user = form.get('user') ?? '';
  if (pathname === '/control/rotate') {
    rotate();
  } else if (pathname === '/control/groups' && Object.hasOwn(config.users, user)) {
    config.users[user].groups = (form.get('groups') ?? '').split(' ').filter(Boolean);
  } else {
    return answer(response, 404, 'there is no such thing or user');
  }
  return answer(response, 200, 'done');
}

const server = createServer({
  cert: readFileSync(config.certFile), key: readFileSync(config.keyFile), ca: readFileSync(config.clientCAFile),
  requestCert: true, rejectUnauthorized: false, // logging in and fetching keys need no certificate
  minVersion: 'TLSv1.2',
}, (request, response) => {
  handle(request, response).catch((error) => {
    say('fault', { error: String(error?.stack) });
    if (!response.headersSent) answer(response, error.status ?? 500, 'it did not work; the log says why');
  });
});
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
server.listen(Number(port), host, () => say('listening', { issuer, users: Object.keys(config.users).length }));
