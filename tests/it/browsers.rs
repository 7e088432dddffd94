//! Starts and drives real browsers: Chromium with ChromeDriver, and Firefox with its own [WebDriver BiDi].
//!
//! On Debian, the packages are `chromium`, `chromium-driver` and `firefox-esr`; `scripts/test` installs them.
//!
//! [WebDriver BiDi]: https://www.w3.org/TR/webdriver-bidi/

use crate::support::PATIENCE;
use fantoccini::{Client, ClientBuilder};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Read},
    panic::{AssertUnwindSafe, resume_unwind},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, sync::Mutex};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

/// The operations of a browser that tests use.
pub(crate) trait Page {
    async fn open(&self, url: &str);

    /// Runs the body of an asynchronous function, and returns its result.
    async fn run(&self, script: &str) -> Result<Value, String>;

    /// Runs the script until `wanted` accepts its result. The script may read values that the page has not set
    /// yet.
    async fn until(&self, script: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.run(script).await;
            match &answer {
                Ok(answer) if wanted(answer) => return answer.clone(),
                _ => assert!(Instant::now() < deadline, "{script} is still {answer:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A process and its profile. Both end when this value is dropped.
struct Process(Child, PathBuf);

impl Process {
    fn start(command: &mut Command, profile: PathBuf) -> Self {
        let child = command.spawn();
        Self(child.unwrap_or_else(|error| panic!("{command:?}: {error}")), profile)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        drop(std::fs::remove_dir_all(&self.1));
    }
}

fn new_profile() -> PathBuf {
    std::env::temp_dir().join(format!("browser-{}", uuid::Uuid::new_v4()))
}

/// Returns the text after `announcement` in the output of a process. It continues to read the output: otherwise the
/// process would block.
fn announced(from: impl Read + Send + 'static, announcement: &str) -> String {
    let mut lines = BufReader::new(from).lines().map_while(Result::ok);
    let found = lines.find_map(|line| Some(line.split_once(announcement)?.1.to_owned()));
    std::thread::spawn(move || lines.for_each(drop));
    found.unwrap_or_else(|| panic!("the process did not print {announcement:?}"))
}

/// Runs `test` in a new Chromium, and ends the browser even if the test panics.
pub(crate) async fn in_chromium<T: Future<Output = ()>>(test: impl FnOnce(Client) -> T) {
    let profile = new_profile();
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1280,900",
        &format!("--user-data-dir={}", profile.display()),
    ];
    let capabilities = json!({"goog:chromeOptions": {"args": arguments}});
    let mut command = Command::new("chromedriver");
    let command = command.arg("--port=0").stdout(Stdio::piped());
    let mut driver = Process::start(command, profile);
    let said = announced(driver.0.stdout.take().unwrap(), "successfully on port ");
    let port = said.trim_end_matches('.');
    let client = ClientBuilder::new(HttpConnector::new())
        .capabilities(capabilities.as_object().unwrap().clone())
        .connect(&format!("http://127.0.0.1:{port}"))
        .await
        .unwrap();
    let outcome = AssertUnwindSafe(test(client.clone())).catch_unwind().await;
    client.close().await.unwrap();
    drop(driver);
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

impl Page for Client {
    async fn open(&self, url: &str) {
        self.goto(url).await.unwrap();
    }

    async fn run(&self, script: &str) -> Result<Value, String> {
        let script = format!("return (async () => {{ {script} }})()");
        self.execute(&script, vec![]).await.map_err(|error| error.to_string())
    }
}

/// A Firefox with one tab.
pub(crate) struct Firefox {
    socket: Mutex<(WebSocketStream<MaybeTlsStream<TcpStream>>, u64)>,
    tab: String,
    _process: Process,
}

impl Firefox {
    pub(crate) async fn start() -> Self {
        let profile = new_profile();
        std::fs::create_dir_all(&profile).unwrap();
        let mut command = Command::new("firefox-esr");
        command.args(["--headless", "--no-remote", "--remote-debugging-port", "0", "--profile"]);
        command.arg(&profile).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = Process::start(&mut command, profile);
        let url = announced(process.0.stderr.take().unwrap(), "WebDriver BiDi listening on ");
        let (socket, _) = tokio_tungstenite::connect_async(format!("{url}/session")).await.unwrap();
        let mut firefox =
            Self { socket: Mutex::new((socket, 0)), tab: String::new(), _process: process };
        firefox.ask("session.new", json!({"capabilities": {}})).await;
        let tabs = firefox.ask("browsingContext.getTree", json!({})).await;
        firefox.tab = tabs["contexts"][0]["context"].as_str().unwrap().to_owned();
        firefox
    }

    /// Sends a command, and returns its result.
    async fn ask(&self, method: &str, params: Value) -> Value {
        let mut guard = self.socket.lock().await;
        let (socket, id) = &mut *guard;
        *id += 1;
        let command = json!({"id": id, "method": method, "params": params});
        socket.send(Message::text(command.to_string())).await.unwrap();
        loop {
            let message = socket.next().await.expect("Firefox still runs").unwrap();
            let Message::Text(text) = message else { continue };
            let mut answer: Value = serde_json::from_str(&text).unwrap();
            if answer["id"] == *id {
                assert_eq!(answer["type"], "success", "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }
}

impl Page for Firefox {
    async fn open(&self, url: &str) {
        let params = json!({"context": self.tab, "url": url, "wait": "complete"});
        self.ask("browsingContext.navigate", params).await;
    }

    async fn run(&self, script: &str) -> Result<Value, String> {
        let function =
            format!("async () => JSON.stringify(await (async () => {{ {script} }})() ?? null)");
        let params = json!({
            "functionDeclaration": function,
            "target": {"context": self.tab},
            "awaitPromise": true,
        });
        let result = self.ask("script.callFunction", params).await;
        match result["result"]["value"].as_str() {
            Some(json) => Ok(serde_json::from_str(json).unwrap()),
            None => Err(result["exceptionDetails"]["text"].to_string()),
        }
    }
}
