//! An issuer on loopback.

use crate::sync::Mutex;
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

/// How long a token is valid, in seconds.
const LIFETIME: u64 = 600;
/// The longest request head that the issuer reads, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// An issuer on loopback. It signs tokens with ES256, rotates its keys, and publishes them as a JWK
/// set at `/jwks.json` and by discovery.
///
/// Clones share one issuer. It stops when the last clone is dropped.
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
    /// All these keys are published. The last one signs.
    keys: Vec<(String, SigningKey)>,
    made: usize,
    conduct: Conduct,
    /// The number of requests for the key set.
    fetches: usize,
    /// The `aud` of the tokens.
    audience: Option<String>,
}

/// How a [`TestIssuer`] answers requests for its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Conduct {
    /// It sends the document.
    #[default]
    Good,
    /// It closes connections without a response.
    Down,
    /// It sends the document with this status.
    Status(u16),
    /// It sends this text instead of the document.
    Text(String),
    /// It sends a redirect to this URL.
    Redirect(String),
    /// It sends the document one byte at a time, with this pause after each byte.
    Drip(Duration),
}

impl TestIssuer {
    /// Starts an issuer that has one key, on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// If the issuer cannot open a port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let desk =
            Desk { keys: Vec::new(), made: 0, conduct: Conduct::Good, fetches: 0, audience: None };
        let desk = Arc::new(Mutex::from(desk));
        let (base, serving) = (url.clone(), Arc::clone(&desk));
        let task = tokio::spawn(async move {
            // Ignore a failed `accept`. The next one may succeed.
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

    /// Sets the `aud` of the tokens from now on. Without this call, tokens have no `aud`, and a verifier that
    /// requires an [audience](crate::auth::JwtVerifierBuilder::audience) refuses them.
    #[must_use]
    pub fn with_audience(self, audience: impl Into<String>) -> Self {
        self.0.desk.lock().audience = Some(audience.into());
        self
    }

    /// The `iss` of the tokens. The discovery document is at this URL plus
    /// `/.well-known/openid-configuration`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// The URL of the key set.
    #[must_use]
    pub fn jwks_url(&self) -> String {
        format!("{}/jwks.json", self.0.url)
    }

    /// A token that is valid for ten minutes.
    #[must_use]
    pub fn token(&self, tenant: &str, env: &str, subject: &str) -> String {
        self.sign(&self.claims(tenant, env, subject))
    }

    /// The claims of a [`token`](Self::token). You can change them and then [sign](Self::sign) them.
    #[must_use]
    pub fn claims(&self, tenant: &str, env: &str, subject: &str) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut claims = json!({
            "iss": self.url(), "sub": subject, "tenant_id": tenant, "env": env,
            "iat": now, "exp": now + LIFETIME,
        });
        if let (Some(audience), Some(claims)) =
            (&self.0.desk.lock().audience, claims.as_object_mut())
        {
            claims.insert("aud".to_owned(), json!(audience));
        }
        claims
    }

    /// A token with any claims, signed with the newest key.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        match self.0.desk.lock().keys.last() {
            Some((kid, key)) => {
                sign(&json!({ "alg": "ES256", "typ": "JWT", "kid": kid }), claims, key)
            }
            None => String::new(),
        }
    }

    /// A token with any header and any claims. The newest key signs it with ES256, even if the header has
    /// another `alg`.
    #[must_use]
    pub fn sign_as(&self, header: &Value, claims: &Value) -> String {
        self.0.desk.lock().keys.last().map(|(_, key)| sign(header, claims, key)).unwrap_or_default()
    }

    /// Makes a new key, which signs from now on. The key set contains the new key and all older ones.
    pub fn rotate(&self) {
        let mut desk = self.0.desk.lock();
        desk.made += 1;
        let kid = format!("key-{}", desk.made);
        // Try again if the number is not below the order of the curve. The probability is one in 2^32.
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
        let mut desk = self.0.desk.lock();
        let old = desk.keys.len().saturating_sub(1);
        desk.keys.drain(..old);
    }

    /// Sets how the issuer answers requests for the key set and the discovery document from now on.
    pub fn conduct(&self, conduct: Conduct) {
        self.0.desk.lock().conduct = conduct;
    }

    /// The number of requests for the key set so far.
    #[must_use]
    pub fn fetches(&self) -> usize {
        self.0.desk.lock().fetches
    }

    /// The key set that [`Conduct::Good`] sends.
    #[must_use]
    pub fn jwks(&self) -> String {
        self.0.desk.lock().jwks()
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

/// Answers one request, as `conduct` says. An error means that the client has closed the connection.
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
        Conduct::Status(status) => answer(&format!("{status} As Configured"), &document),
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
    /// Does not show the keys, because they are private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestIssuer").field("url", &self.0.url).finish_non_exhaustive()
    }
}
