//! An issuer on loopback.

use crate::sync::{Mutex, MutexGuard};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use serde_json::{Value, json};
use std::{
    fmt, io,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// How long its tokens are valid, in seconds.
const LIFETIME: u64 = 600;
/// The longest request head that it reads, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// An issuer on loopback. It signs tokens with ES256, rotates its keys, and publishes them as a JWK
/// set at `/jwks.json` and by discovery.
///
/// Clones are the same issuer. It stops when the last clone is dropped.
///
/// See the [module docs](super) for an example.
#[derive(Clone)]
pub struct TestIssuer(Arc<Server>);

struct Server {
    url: String,
    desk: Arc<Mutex<Desk>>,
    task: tokio::task::AbortHandle,
}

struct Desk {
    /// The newest signs. All are published.
    keys: Vec<(String, SigningKey)>,
    made: usize,
    conduct: Conduct,
    /// Requests for the key set.
    fetches: usize,
    /// The `aud` of its tokens.
    audience: Option<String>,
}

/// How a [`TestIssuer`] answers requests for its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Conduct {
    /// With the document.
    #[default]
    Good,
    /// It accepts connections and closes them without an answer.
    Down,
    /// With this status.
    Status(u16),
    /// With this text instead of the document.
    Text(String),
    /// With a redirect to this URL.
    Redirect(String),
    /// With the document, one byte at a time, and this pause after each.
    Drip(Duration),
}

impl TestIssuer {
    /// Starts an issuer that has one key, on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// The port cannot be opened.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let desk =
            Desk { keys: Vec::new(), made: 0, conduct: Conduct::Good, fetches: 0, audience: None };
        let desk = Arc::new(Mutex::from(desk));
        let (base, serving) = (url.clone(), Arc::clone(&desk));
        let task = tokio::spawn(async move {
            // A failed accept has nobody to report to. The next one may succeed.
            loop {
                if let Ok((tcp, _)) = listener.accept().await {
                    tokio::spawn(serve(tcp, base.clone(), Arc::clone(&serving)));
                }
            }
        });
        let issuer = Self(Arc::new(Server { url, desk, task: task.abort_handle() }));
        issuer.rotate();
        Ok(issuer)
    }

    /// Issues tokens for this audience from now on: their `aud`. Without it they name none, and a
    /// verifier that names an [audience](crate::auth::JwtVerifierBuilder::audience) refuses them.
    #[must_use]
    pub fn with_audience(self, audience: impl Into<String>) -> Self {
        self.desk().audience = Some(audience.into());
        self
    }

    /// Its `iss`. The discovery document is below it, at `/.well-known/openid-configuration`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// The URL of its key set.
    #[must_use]
    pub fn jwks_url(&self) -> String {
        format!("{}/jwks.json", self.0.url)
    }

    /// A token that is valid for ten minutes.
    #[must_use]
    pub fn token(&self, tenant: &str, env: &str, subject: &str) -> String {
        self.sign(&self.claims(tenant, env, subject))
    }

    /// The claims of such a token. Change them, and [sign](Self::sign) them.
    #[must_use]
    pub fn claims(&self, tenant: &str, env: &str, subject: &str) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut claims = json!({
            "iss": self.url(), "sub": subject, "tenant_id": tenant, "env": env,
            "iat": now, "exp": now + LIFETIME,
        });
        if let (Some(audience), Some(claims)) = (&self.desk().audience, claims.as_object_mut()) {
            claims.insert("aud".to_owned(), json!(audience));
        }
        claims
    }

    /// A token of these claims, whatever they are, signed with the newest key.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        match self.desk().keys.last() {
            Some((kid, key)) => {
                sign(&json!({ "alg": "ES256", "typ": "JWT", "kid": kid }), claims, key)
            }
            None => String::new(),
        }
    }

    /// A token of this header and these claims. The newest key signs it with ES256, whatever the
    /// header says.
    #[must_use]
    pub fn sign_as(&self, header: &Value, claims: &Value) -> String {
        self.desk().keys.last().map(|(_, key)| sign(header, claims, key)).unwrap_or_default()
    }

    /// Makes a new key, which signs from now on. The key set holds it and all former keys.
    pub fn rotate(&self) {
        let mut desk = self.desk();
        desk.made += 1;
        let kid = format!("key-{}", desk.made);
        // A number above the order of the curve is no key. The chance is one in 2^32.
        let key = loop {
            let random = [uuid::Uuid::new_v4().into_bytes(), uuid::Uuid::new_v4().into_bytes()];
            if let Ok(key) = SigningKey::from_slice(random.as_flattened()) {
                break key;
            }
        };
        desk.keys.push((kid, key));
    }

    /// Removes all keys but the newest one from the key set.
    pub fn withdraw_old_keys(&self) {
        let mut desk = self.desk();
        let old = desk.keys.len().saturating_sub(1);
        desk.keys.drain(..old);
    }

    /// Answers requests for the key set and the discovery document like this from now on.
    pub fn conduct(&self, conduct: Conduct) {
        self.desk().conduct = conduct;
    }

    /// The number of requests for the key set so far.
    #[must_use]
    pub fn fetches(&self) -> usize {
        self.desk().fetches
    }

    /// The key set, as [`Conduct::Good`] answers with it.
    #[must_use]
    pub fn jwks(&self) -> String {
        self.desk().jwks()
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.desk.lock()
    }
}

impl Desk {
    fn jwks(&self) -> String {
        let jwk = |(kid, key): &(String, SigningKey)| {
            let point = key.verifying_key().to_encoded_point(false);
            let coordinate =
                |bytes: Option<&[u8]>| URL_SAFE_NO_PAD.encode(bytes.unwrap_or_default());
            json!({
                "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid,
                "x": coordinate(point.x().map(|x| &**x)),
                "y": coordinate(point.y().map(|y| &**y)),
            })
        };
        json!({ "keys": self.keys.iter().map(jwk).collect::<Vec<_>>() }).to_string()
    }
}

fn sign(header: &Value, claims: &Value, key: &SigningKey) -> String {
    let encode = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature: Signature = key.sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

/// Answers one request as the conduct says. An error means that the client is gone.
async fn serve(mut tcp: TcpStream, url: String, desk: Arc<Mutex<Desk>>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > MAX_HEAD || tcp.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let wants = |path: &str| head.starts_with(format!("GET {path} ").as_bytes());
    let (conduct, document) = {
        let mut desk = desk.lock();
        if wants("/jwks.json") {
            desk.fetches += 1;
            (desk.conduct.clone(), Some(desk.jwks()))
        } else if wants("/.well-known/openid-configuration") {
            let metadata = json!({ "issuer": url, "jwks_uri": format!("{url}/jwks.json") });
            (desk.conduct.clone(), Some(metadata.to_string()))
        } else {
            (Conduct::Good, None)
        }
    };
    let answer = |status: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let Some(document) = document else {
        return tcp.write_all(answer("404 Not Found", "").as_bytes()).await;
    };
    let bytes = match conduct {
        Conduct::Down => return Ok(()),
        Conduct::Good => answer("200 OK", &document),
        Conduct::Status(status) => answer(&format!("{status} As Told"), &document),
        Conduct::Text(text) => answer("200 OK", &text),
        Conduct::Redirect(to) => format!(
            "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        ),
        Conduct::Drip(pause) => {
            for byte in answer("200 OK", &document).bytes() {
                tcp.write_all(&[byte]).await?;
                tokio::time::sleep(pause).await;
            }
            return Ok(());
        }
    };
    tcp.write_all(bytes.as_bytes()).await
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for TestIssuer {
    /// Does not show the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestIssuer").field("url", &self.0.url).finish_non_exhaustive()
    }
}
