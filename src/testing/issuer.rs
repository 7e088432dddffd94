//! An issuer on loopback.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use serde_json::{Value, json};
use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// How long its tokens are good, in seconds.
const LIFETIME: u64 = 600;
/// Longest request head that it reads, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Signs tokens with ES256, rotates its keys, and publishes them on loopback: as a JWK set at
/// `/jwks.json`, and by discovery. Ends with its last handle. Clones are one issuer.
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
}

/// How a [`TestIssuer`] answers whoever asks for its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Conduct {
    /// As it should.
    #[default]
    Good,
    /// It takes connections and closes them.
    Down,
    /// It answers with this status.
    Status(u16),
    /// It answers with this text.
    Text(String),
    /// It sends its clients there.
    Redirect(String),
    /// It answers a byte at a time, with this pause between them.
    Drip(Duration),
}

impl TestIssuer {
    /// Begins, with one key.
    ///
    /// # Errors
    ///
    /// It cannot listen.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let desk = Desk { keys: Vec::new(), made: 0, conduct: Conduct::Good, fetches: 0 };
        let desk = Arc::new(Mutex::new(desk));
        let (base, serving) = (url.clone(), Arc::clone(&desk));
        let task = tokio::spawn(async move {
            // Nobody can be told why one is not taken; the next one may be.
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

    /// Its `iss`, and where its discovery document is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// Where its keys are.
    #[must_use]
    pub fn jwks_url(&self) -> String {
        format!("{}/jwks.json", self.0.url)
    }

    /// A token for ten minutes from now.
    #[must_use]
    pub fn token(&self, tenant: &str, env: &str, subject: &str) -> String {
        self.sign(&self.claims(tenant, env, subject))
    }

    /// The claims of such a token, to be changed before they are [signed](Self::sign).
    #[must_use]
    pub fn claims(&self, tenant: &str, env: &str, subject: &str) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        json!({
            "iss": self.url(), "sub": subject, "tenant_id": tenant, "env": env,
            "iat": now, "exp": now + LIFETIME,
        })
    }

    /// A token of any claims, signed with its newest key.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        match self.desk().keys.last() {
            Some((kid, key)) => {
                sign(&json!({ "alg": "ES256", "typ": "JWT", "kid": kid }), claims, key)
            }
            None => String::new(),
        }
    }

    /// A token of any header and claims, signed with its newest key whatever the header says.
    #[must_use]
    pub fn sign_as(&self, header: &Value, claims: &Value) -> String {
        self.desk().keys.last().map(|(_, key)| sign(header, claims, key)).unwrap_or_default()
    }

    /// Signs with a new key from now on, and publishes it next to those before.
    pub fn rotate(&self) {
        let mut desk = self.desk();
        desk.made += 1;
        let kid = format!("key-{}", desk.made);
        // Too large a number is no key; the chance is one in 2^32.
        let key = loop {
            let random = [uuid::Uuid::new_v4().into_bytes(), uuid::Uuid::new_v4().into_bytes()];
            if let Ok(key) = SigningKey::from_slice(random.as_flattened()) {
                break key;
            }
        };
        desk.keys.push((kid, key));
    }

    /// Publishes nothing but the newest key any more.
    pub fn withdraw_old_keys(&self) {
        let mut desk = self.desk();
        let old = desk.keys.len().saturating_sub(1);
        desk.keys.drain(..old);
    }

    /// Answers so from now on.
    pub fn conduct(&self, conduct: Conduct) {
        self.desk().conduct = conduct;
    }

    /// How often somebody asked for its keys.
    #[must_use]
    pub fn fetches(&self) -> usize {
        self.desk().fetches
    }

    /// Its keys, as it publishes them when it is good.
    #[must_use]
    pub fn jwks(&self) -> String {
        self.desk().jwks()
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Answers one request, as badly as it is told to. What fails here is a client that is gone.
async fn serve(mut tcp: TcpStream, url: String, desk: Arc<Mutex<Desk>>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > MAX_HEAD || tcp.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let wants = |path: &str| head.starts_with(format!("GET {path} ").as_bytes());
    let (conduct, document) = {
        let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
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
    /// Without its keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestIssuer").field("url", &self.0.url).finish_non_exhaustive()
    }
}
