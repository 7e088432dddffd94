//! Tests the demo over real sockets: refusals come before any byte of a stream, and events stay in their threads.

use crate::support::{Chat, claims, now, refusal, sign, token, with_short_token};
use serde_json::{Value, json};
use std::process::Command;

const STREAM: &str = "/sse/chat/th";

#[tokio::test]
async fn a_request_is_refused_for_its_context_then_its_token_then_their_match() {
    let chat = Chat::start();
    let good = token("t_alpha", "prod", "ada");
    let mut expired = claims("t_alpha", "prod", "ada");
    expired["exp"] = json!(now() - 61);
    let expired = sign(&expired);
    let no_tenant = sign(&json!({"sub": "ada", "env": "prod", "exp": now() + 60}));
    let no_env = sign(&json!({"sub": "ada", "tenant_id": "t_alpha", "exp": now() + 60}));
    let unexpiring = sign(&json!({"sub": "ada", "tenant_id": "t_alpha", "env": "prod"}));
    let forged = good.replace('.', ".A");
    let beta = token("t_beta", "prod", "bob");
    let dev = token("t_alpha", "dev", "ada");

    let t = Some("t_alpha");
    let e = Some("prod");
    // tenant, env, token, path -> status, code
    for (tenant, env, bearer, path, status, code) in [
        (None, e, Some(&good), STREAM, 400, "context.missing"),
        (t, None, Some(&good), STREAM, 400, "context.missing"),
        (None, None, None, STREAM, 400, "context.missing"),
        (Some(""), e, Some(&good), STREAM, 400, "context.invalid"),
        (Some("a b"), e, Some(&good), STREAM, 400, "context.invalid"),
        (Some("t_unknown"), e, Some(&good), STREAM, 400, "context.invalid"),
        (Some("T_Unknown"), e, Some(&good), STREAM, 400, "context.invalid"),
        (Some("T_UNKNOWN"), e, None, STREAM, 400, "context.invalid"),
        (t, Some("qa"), Some(&good), STREAM, 400, "context.invalid"),
        (t, Some("qa"), Some(&expired), STREAM, 400, "context.invalid"),
        (t, e, None, STREAM, 401, "auth.missing"),
        (t, e, Some(&"x".to_owned()), STREAM, 401, "auth.invalid"),
        (t, e, Some(&forged), STREAM, 401, "auth.invalid"),
        (t, e, Some(&unexpiring), STREAM, 401, "auth.invalid"),
        (t, e, Some(&expired), STREAM, 401, "auth.expired"),
        // If a token is bad and does not match, the code is that of a bad token.
        (Some("t_beta"), e, Some(&expired), STREAM, 401, "auth.expired"),
        (Some("t_beta"), e, Some(&good), STREAM, 403, "tenant.mismatch"),
        (t, e, Some(&beta), STREAM, 403, "tenant.mismatch"),
        (t, e, Some(&no_tenant), STREAM, 403, "tenant.mismatch"),
        (t, Some("dev"), Some(&good), STREAM, 403, "env.mismatch"),
        (t, e, Some(&dev), STREAM, 403, "env.mismatch"),
        (t, e, Some(&no_env), STREAM, 403, "env.mismatch"),
        (t, e, Some(&good), "/sse/chat/nowhere", 403, "thread.forbidden"),
        (t, e, Some(&good), "/sse/chat/only-beta", 403, "thread.forbidden"),
        (t, e, Some(&good), "/sse/chat/mal%20formed", 403, "thread.forbidden"),
        (t, e, Some(&good), "/sse/chat/th?last_event_id=nonsense", 400, "cursor.invalid"),
    ] {
        let mut request = chat.bare("GET", path);
        for (name, value) in [("x-tenant-id", tenant), ("x-env", env)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        let refused = refusal(request.send().await.unwrap()).await;
        assert_eq!(refused, (status, code.to_owned()), "{tenant:?} {env:?} {bearer:?} {path}");
    }
}

#[tokio::test]
async fn headers_that_are_sent_twice_are_refused() {
    let chat = Chat::start();
    for (name, value, code) in [
        ("x-tenant-id", "t_alpha".to_owned(), "context.invalid"),
        ("x-tenant-id", "t_beta".to_owned(), "context.invalid"),
        ("x-env", "prod".to_owned(), "context.invalid"),
        ("authorization", format!("Bearer {}", token("t_beta", "prod", "b")), "auth.invalid"),
        ("last-event-id", "0123456789abcdef-1".to_owned(), "cursor.invalid"),
    ] {
        // `header` appends. Of these headers, only `last-event-id` is not in the request yet.
        let request = chat.request("GET", STREAM, "t_alpha").header("x-request-id", "r-1");
        let request =
            if name == "last-event-id" { request.header(name, "earliest") } else { request };
        let response = request.header(name, value).send().await.unwrap();
        assert_eq!(response.headers()["x-request-id"], "r-1");
        assert_eq!(refusal(response).await.1, code, "{name}");
    }
}

#[tokio::test]
async fn unknown_and_foreign_threads_answer_the_same_byte_for_byte() {
    let chat = Chat::start();
    let mut answers = Vec::new();
    for thread in ["only-beta", "nowhere"] {
        let request = chat.request("GET", &format!("/sse/chat/{thread}"), "t_alpha");
        let response = request.header("x-request-id", "same").send().await.unwrap();
        let mut headers = response.headers().clone();
        headers.remove("date");
        answers.push((response.status(), headers, response.bytes().await.unwrap()));
    }
    assert_eq!(answers[0].0, 403);
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn each_event_belongs_to_its_thread_and_has_the_id_of_its_connection() {
    let chat = Chat::start();
    let mut streams = Vec::new();
    for (tenant, id) in [("t_alpha", "conn-1"), ("t_alpha", "conn-2"), ("t_beta", "conn-3")] {
        let request = chat.request("GET", STREAM, tenant).header("x-request-id", id);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["x-request-id"], id, "echoed");
        streams.push((tenant, id, crate::support::Events::of(response)));
    }
    // The same thread id in two tenants names two threads.
    for i in 0..5 {
        chat.say("t_alpha", "th", &format!("alpha {i}")).await;
        chat.say("t_beta", "th", &format!("beta {i}")).await;
    }
    for (tenant, id, events) in &mut streams {
        for i in 0..5_u64 {
            let block = events.event().await.unwrap();
            let envelope = block.json();
            assert_eq!(block.event, None, "`message` needs no event line");
            assert_eq!(envelope["id"], *block.id.as_ref().unwrap());
            assert_eq!(envelope["routing"]["tenant_id"], *tenant);
            assert_eq!(envelope["routing"]["env"], "prod");
            assert_eq!(envelope["routing"]["thread_id"], "th");
            assert_eq!(envelope["routing"]["actor_id"], "ada");
            assert_eq!(envelope["routing"]["actor_type"], "human");
            assert_eq!(envelope["meta"]["trace_id"], *id);
            assert_ne!(envelope["meta"]["origin_trace_id"], *id);
            assert_eq!(envelope["meta"]["seq"], i + 1);
            let text = envelope["data"]["text"].as_str().unwrap();
            assert_eq!(text, format!("{} {i}", tenant.strip_prefix("t_").unwrap()));
        }
    }
}

#[tokio::test]
async fn a_sent_or_generated_request_id_is_echoed_and_stamped() {
    let chat = Chat::start();
    let too_long = "x".repeat(129);
    for (sent, is_taken) in [
        (&["uuid#1"][..], true),
        (&["Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8"], true),
        (&["105445aa7843bc8bf206b12000100000/1;o=1"], true),
        (&["<&'%{}>"], true),
        (&["same", "same"], true),
        (&[], false),
        (&[""], false),
        (&["a", "b"], false),
        (&["a\"b"], false),
        (&["a\\b"], false),
        (&["a b"], false),
        (&["t_unknown"], false),
        (&[&too_long], false),
    ] {
        let bearing = |method, path| {
            let request = chat.request(method, path, "t_alpha");
            sent.iter().fold(request, |request, id| request.header("x-request-id", *id))
        };
        let response = bearing("GET", STREAM).send().await.unwrap();
        assert_eq!(response.status(), 200, "{sent:?}");
        let ids: Vec<_> = response.headers().get_all("x-request-id").iter().cloned().collect();
        let [id] = &ids[..] else { panic!("{ids:?}") };
        let id = id.to_str().unwrap().to_owned();
        let mut events = crate::support::Events::of(response);
        let said = bearing("POST", "/chat/th/messages").json(&json!({"text": "hi"})).send().await;
        let origin = said.unwrap().headers()["x-request-id"].to_str().unwrap().to_owned();
        let meta = events.event().await.unwrap().json()["meta"].clone();
        assert_eq!((&meta["trace_id"], &meta["origin_trace_id"]), (&json!(id), &json!(origin)));
        if is_taken {
            assert_eq!([id, origin], [sent[0], sent[0]]);
        } else {
            assert!(id.len() == 36 && origin.len() == 36 && id != origin, "{id} {origin}");
        }
    }
}

#[tokio::test]
async fn an_alias_names_its_env_and_envs_are_separate() {
    let chat = Chat::start();
    let request = chat.bare("GET", STREAM).header("x-tenant-id", "t_alpha");
    let alias = request.header("x-env", "production").bearer_auth(token("t_alpha", "prod", "a"));
    let mut prod = crate::support::Events::of(alias.send().await.unwrap());
    let request = chat.bare("POST", "/chat/th/messages").header("x-tenant-id", "t_alpha");
    let dev = request.header("x-env", "dev").bearer_auth(token("t_alpha", "development", "a"));
    assert_eq!(dev.json(&json!({"text": "dev"})).send().await.unwrap().status(), 201);
    chat.say("t_alpha", "th", "prod").await;
    assert_eq!(prod.event().await.unwrap().json()["data"]["text"], "prod");
}

#[tokio::test]
async fn messages_are_stored_or_refused_with_a_reason() {
    let chat = Chat::start();
    let post = |body: String| {
        let request = chat.post("/chat/th/messages", "t_alpha", body);
        async move { request.send().await.unwrap() }
    };
    let stored = post(r#"{"text":"a\nb","type":"note.added"}"#.into()).await;
    assert_eq!(stored.status(), 201);
    let id = stored.headers()["x-request-id"].to_str().unwrap().to_owned();
    let envelope: Value = stored.json().await.unwrap();
    assert_eq!(envelope["type"], "note.added");
    assert_eq!(envelope["data"], json!({"text": "a\nb"}));
    assert_eq!(envelope["meta"]["trace_id"], *id);

    for (body, status) in [
        ("{".to_owned(), 400),
        (String::new(), 400),
        (r#"{"texts":"x"}"#.to_owned(), 400),
        (r#"{"text":5}"#.to_owned(), 400),
        (r#"{"text":"x","routing":{"tenant_id":"t_beta"}}"#.to_owned(), 400),
        (r#"{"text":"x","type":"stream.gap"}"#.to_owned(), 400),
        (r#"{"text":"x","type":"a\nb"}"#.to_owned(), 400),
        (json!({"text": "x".repeat(65 * 1024)}).to_string(), 413),
    ] {
        let response = post(body.clone()).await;
        assert_eq!(response.status(), status, "{body:.60}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        refusal(response).await;
    }
    let fits = json!({"text": "x".repeat(64 * 1024 - 20)}).to_string();
    assert_eq!(post(fits).await.status(), 201);
    let foreign = chat.post("/chat/only-beta/messages", "t_alpha", "{}");
    assert_eq!(refusal(foreign.send().await.unwrap()).await.0, 403);
}

#[tokio::test]
async fn a_thread_is_registered_in_the_callers_tenant_and_env() {
    let chat = Chat::start();
    let put = async |tenant: &str, thread: &str| {
        let path = format!("/threads/{thread}");
        chat.request("PUT", &path, tenant).send().await.unwrap().status().as_u16()
    };
    assert_eq!(put("t_alpha", "fresh").await, 201);
    assert_eq!(put("t_alpha", "fresh").await, 200);
    assert_eq!(
        put("t_beta", "fresh").await,
        201,
        "the same id of another tenant is another thread"
    );
    let (longest, too_long) = ("x".repeat(128), "x".repeat(129));
    for bad in ["not%20valid", "a%2Fb", "...", "undefined", "NULL", &too_long] {
        assert_eq!(put("t_alpha", bad).await, 400, "{bad}");
    }
    // Some ids are encoded as by JavaScript's `encodeURIComponent`, and some are not encoded.
    for (thread, encoded) in [
        ("a:b@c.d~e", "a%3Ab%40c.d~e"),
        ("a:b@c.d~f", "a:b@c.d~f"),
        ("-dash", "-dash"),
        ("_x", "_x"),
        (&longest, &longest),
    ] {
        assert_eq!(put("t_alpha", encoded).await, 201, "{thread}");
        let mut events = chat.listen("t_alpha", encoded, None).await;
        chat.say("t_alpha", thread, "hi").await;
        let routing = events.event().await.unwrap().json()["routing"].clone();
        assert_eq!(routing["thread_id"], thread, "byte for byte");
    }
    let mut alpha = chat.listen("t_alpha", "fresh", None).await;
    chat.say("t_beta", "fresh", "secret").await;
    chat.say("t_alpha", "fresh", "mine").await;
    assert_eq!(alpha.event().await.unwrap().json()["data"]["text"], "mine");
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_says_so() {
    let chat = Chat::start_with(&["--leeway", "0"]);
    let (response, over_at) = with_short_token(async |token| {
        let request = chat.bare("GET", STREAM).header("x-tenant-id", "t_alpha");
        let response = request.header("x-env", "prod").bearer_auth(token).send().await.unwrap();
        (response.status() == 200).then_some(response)
    })
    .await;
    let mut events = crate::support::Events::of(response);
    let last = events.event().await.unwrap();
    assert_eq!(last.event.as_deref(), Some("auth.expired"));
    assert_eq!(last.id, None, "this notice has no cursor");
    assert_eq!(last.json()["code"], "auth.expired");
    assert!(now() >= over_at, "the stream must not end before the token");
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn open_routes_need_no_token_and_only_the_demo_gives_out_tokens() {
    let chat = Chat::start();
    let health = chat.bare("GET", "/healthz").send().await.unwrap();
    assert_eq!(health.status(), 200);
    let page = chat.bare("GET", "/").send().await.unwrap();
    assert!(
        page.headers()["content-security-policy"].to_str().unwrap().contains("connect-src 'self'")
    );
    assert!(page.text().await.unwrap().contains("tower-tenancy"));
    let session = async |chat: &Chat| -> Value {
        chat.bare("GET", "/demo/session").send().await.unwrap().json().await.unwrap()
    };
    assert_eq!(session(&chat).await["identities"], json!([]));

    let mut command = Command::new(crate::support::chat_binary());
    let demo = Chat::run(command.args(["--addr", "127.0.0.1:0"]));
    let identities = session(&demo).await;
    assert_eq!(identities["identities"].as_array().unwrap().len(), 2);
    for identity in identities["identities"].as_array().unwrap() {
        let text = |name: &str| identity[name].as_str().unwrap().to_owned();
        let request = demo.bare("GET", &format!("/sse/chat/{}", text("thread")));
        let request = request.header("x-tenant-id", text("tenant")).header("x-env", text("env"));
        let response = request.bearer_auth(text("token")).send().await.unwrap();
        assert_eq!(response.status(), 200);
    }
}

#[tokio::test]
async fn the_command_line_makes_tokens_and_takes_keys() {
    let output = Command::new(crate::support::chat_binary())
        .args(["token", "--tenant", "t_alpha", "--env", "prod", "--sub", "eve", "--role", "ops"])
        .args(["--issuer", "me", "--audience", "chat", "--hs256-secret", crate::support::SECRET])
        .output()
        .unwrap();
    let token = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let chat = Chat::start_with(&["--issuer", "me", "--audience", "chat", "--env", "prod"]);
    let listen = |token: &str| {
        let request = chat.bare("GET", STREAM).header("x-tenant-id", "t_alpha");
        request.header("x-env", "prod").bearer_auth(token).send()
    };
    assert_eq!(listen(&token).await.unwrap().status(), 200);
    let other = crate::support::token("t_alpha", "prod", "eve");
    assert_eq!(refusal(listen(&other).await.unwrap()).await.1, "auth.invalid", "no iss and no aud");

    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/ed25519.pub.pem");
    let mut command = Command::new(crate::support::chat_binary());
    let keyed = Chat::run(command.args(["--addr", "127.0.0.1:0", "--public-key", key]));
    let forged = keyed.request("GET", STREAM, "t_alpha").send().await.unwrap();
    assert_eq!(refusal(forged).await.1, "auth.invalid", "with a public key, no secret is trusted");

    let weak = Command::new(crate::support::chat_binary())
        .args(["--addr", "127.0.0.1:0", "--hs256-secret", "short"])
        .output()
        .unwrap();
    assert!(!weak.status.success());
    assert!(String::from_utf8(weak.stderr).unwrap().contains("32 bytes"));
}

#[tokio::test]
async fn a_quiet_stream_delivers_each_event_at_once() {
    let chat = Chat::start();
    let mut events = chat.listen("t_alpha", "th", None).await;
    for i in 0..20 {
        chat.say("t_alpha", "th", &i.to_string()).await;
        let next = events.event().await;
        assert_eq!(next.unwrap().json()["data"]["text"], i.to_string());
    }
}

#[tokio::test]
async fn the_agent_example_streams_without_a_log_and_ends_with_a_notice() {
    let mut command = Command::new(crate::support::example("agent"));
    let agent = Chat::run(command.arg("127.0.0.1:0"));
    let token = Command::new(crate::support::chat_binary())
        .args(["token", "--tenant", "t_alpha", "--env", "prod", "--sub", "ada"])
        .output()
        .unwrap();
    let token = String::from_utf8(token.stdout).unwrap();
    let ask = |thread: &str| {
        let request = agent.bare("GET", &format!("/agents/{thread}")).bearer_auth(token.trim());
        request.header("x-tenant-id", "t_alpha").header("x-env", "prod").send()
    };
    assert_eq!(refusal(ask("other").await.unwrap()).await.1, "thread.forbidden");
    let mut events = crate::support::Events::of(ask("welcome").await.unwrap());
    let mut words = String::new();
    loop {
        let block = events.event().await.unwrap();
        assert_eq!(block.id, None, "without a log, there is no cursor");
        let json = block.json();
        match block.event.as_deref() {
            Some("agent.token") => {
                assert_eq!(json["routing"]["actor_type"], "agent");
                assert_eq!(json["routing"]["tenant_id"], "t_alpha");
                words += json["data"].as_str().unwrap();
            }
            end => break assert_eq!(end, Some("stream.complete")),
        }
    }
    assert!(words.ends_with("written. "), "{words}");
}
