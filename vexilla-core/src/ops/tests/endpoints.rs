//! Operations mounted into an application.

use serde_json::{Value, json};

use super::super::{Endpoints, OPS_PATHS, Operations, OpsError, OpsRequest};
use super::{Asked, Told, flags, header, json as body};
use crate::evaluate::EmptyEntity;
use crate::flag::Flag;
use crate::overrides::Overrides;
use crate::vexilla::Vexilla;

pub(super) const ALL: [(&str, &str); 9] = [
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/health"),
    ("GET", "/admin/stats"),
    ("GET", "/admin/flags"),
    ("POST", "/admin/flags/checkout/explain"),
    ("POST", "/admin/refresh"),
    ("POST", "/admin/invalidate"),
    ("POST", "/admin/invalidate-all"),
];

fn operations() -> Operations {
    Operations::insecure_without_token(Vexilla::fixed(flags()))
}

fn get(path: &str) -> Asked {
    Asked::new("GET", path)
}

fn post(path: &str, body: impl AsRef<[u8]>) -> Asked {
    Asked::new("POST", path).body(body)
}

#[tokio::test]
async fn every_endpoint_answers_with_json_that_is_not_kept() {
    for (method, path) in ALL {
        let asked = Asked::new(method, path);
        let asked = match path {
            "/admin/invalidate" => asked.body(r#"{"flag_key":"checkout"}"#),
            _ => asked,
        };
        let response = asked.of(&operations()).await;
        assert_eq!(response.status(), 200, "{path}");
        assert!(body(&response).is_object(), "{path}");
        assert_eq!(header(&response, "content-type"), Some("application/json"));
        assert_eq!(header(&response, "cache-control"), Some("no-store"));
        assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"));
        assert!(Operations::is_mine(path), "{path}");
    }
    let paths = ALL.map(|(_, path)| path.replace("checkout", "{key}"));
    assert_eq!(paths, OPS_PATHS);
}

#[tokio::test]
async fn a_token_is_asked_for_by_all_but_the_probes() {
    let guarded = Operations::new(Vexilla::fixed(flags()), "geheim").unwrap();
    for (method, path) in ALL {
        let asked = |credentials: &[&str]| {
            let asked = Asked::new(method, path).body(r#"{"flag_key":"x"}"#);
            let add = |asked: Asked, value: &&str| asked.header("authorization", *value);
            credentials.iter().fold(asked, add)
        };
        let probe = path == "/health/live" || path == "/health/ready";
        for wrong in [
            &[][..],
            &["Bearer "],
            &["Bearer"],
            &["Bearer falsch"],
            &["Bearer geheim2"],
            &["Bearer gehei"],
            &["Bearer GEHEIM"],
            &["Basic geheim"],
            &["Secret geheim"],
            &["geheim"],
            &["Bearer geheim", "Bearer geheim"],
        ] {
            let response = asked(wrong).of(&guarded).await;
            assert_eq!(response.status() == 200, probe, "{path} {wrong:?}");
            if !probe {
                assert_eq!(response.status(), 401);
                assert_eq!(header(&response, "www-authenticate"), Some("Bearer"));
                // Said before the body is read, and whatever the method.
                let head = asked(wrong);
                assert!(guarded.refuse(&OpsRequest::new(&head.request)).is_some());
            }
        }
        for right in ["Bearer geheim", "bearer geheim", "BEARER   geheim "] {
            assert_eq!(asked(&[right]).status(&guarded).await, 200, "{path}");
        }
    }
}

#[test]
fn a_token_that_cannot_be_sent_is_none() {
    let new = |token| Operations::new(Vexilla::fixed([]), token).unwrap_err();
    assert!(matches!(new(""), OpsError::EmptyToken));
    assert!(matches!(new(" \t"), OpsError::EmptyToken));
    for token in ["a b", "a\n", "gehéim", "\u{7f}"] {
        assert!(matches!(new(token), OpsError::BadToken), "{token:?}");
    }
    let guarded = Operations::new(Vexilla::fixed([]), "geheim").unwrap();
    assert!(!format!("{guarded:?}").contains("geheim"));
    assert!(guarded.is_guarded());
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    for (method, path) in ALL {
        for other in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "get"] {
            let response = Asked::new(other, path).of(&operations()).await;
            let allowed = match method {
                "GET" => ["GET", "HEAD"].contains(&other),
                _ => other == "POST",
            };
            assert_eq!(response.status() == 405, !allowed, "{other} {path}");
            let methods = if method == "GET" { "GET, HEAD" } else { "POST" };
            let allow = header(&response, "allow");
            assert_eq!(allow, (!allowed).then_some(methods));
        }
    }
    assert!(!Operations::is_mine(""));
    for path in [
        "/",
        "/health/",
        "/Health",
        "/health/live/",
        "/admin",
        "/admin/flags/",
        "/admin/flags/explain",
        "/admin/flags//explain",
        "/admin/flags/a/b/explain",
        "/admin/flags/a",
        "/x/health",
        "/webhook",
    ] {
        assert_eq!(get(path).status(&operations()).await, 404, "{path}");
        assert!(!Operations::is_mine(path), "{path}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let operations = operations().max_body_bytes(10);
    let announced = |length: &str| post("/admin/refresh", [0; 10]).header("content-length", length);
    assert_eq!(announced("10").status(&operations).await, 200);
    assert_eq!(
        post("/admin/refresh", [0; 11]).status(&operations).await,
        413
    );
    for length in ["11", "18446744073709551616"] {
        assert_eq!(announced(length).status(&operations).await, 413, "{length}");
        let head = announced(length);
        let refusal = operations.refuse(&OpsRequest::new(&head.request)).unwrap();
        assert_eq!(refusal.status(), 413);
    }
}

#[tokio::test]
async fn stats_and_flags_tell_what_is_held() {
    let stats = body(&get("/admin/stats").of(&operations()).await);
    assert_eq!(stats["level"], "live");
    assert_eq!(stats["breaker"], "closed");
    for (name, count) in [
        ("flags", 3),
        ("enabled", 3),
        ("problems", 1),
        ("version", 0),
    ] {
        assert_eq!(stats[name], count, "{name}: {stats}");
    }
    assert_eq!(stats["leftOut"], json!({"flags": 0, "bytes": 0}));
    assert_eq!(stats["counts"]["pushes"], 0);

    let listed = body(&get("/admin/flags").of(&operations()).await);
    let flags = listed["flags"].as_array().unwrap();
    assert_eq!(flags[0]["key"], "a b/🚩");
    assert_eq!(
        flags[2],
        json!({"key": "checkout", "id": flags[2]["id"], "enabled": true, "version": 0,
            "variants": ["on"], "tags": ["team-a"]})
    );
    assert!(flags[1]["problem"].as_str().unwrap().contains("LIKE"));
}

#[tokio::test]
async fn explaining_tells_value_and_way() {
    let asked = |key: &str, context: Value| {
        let path = format!("/admin/flags/{key}/explain");
        post(&path, context.to_string())
    };
    let context =
        json!({"entityID": "7", "entityType": "user", "entityContext": {"country": "BR"}});
    let explained = body(&asked("checkout", context).of(&operations()).await);
    assert_eq!(explained["evaluation"]["variantKey"], "on");
    assert_eq!(explained["explanation"]["entityID"], "7");
    let segment = &explained["explanation"]["segments"][0];
    assert_eq!(segment["outcome"], "true");
    assert_eq!(segment["constraints"]["outcome"], "true");
    assert!(
        explained["text"]
            .as_str()
            .unwrap()
            .starts_with("checkout = ")
    );

    let elsewhere = json!({"entityContext": {"country": "PT"}});
    let explained = body(&asked("checkout", elsewhere).of(&operations()).await);
    assert_eq!(explained["evaluation"]["variantKey"], Value::Null);
    assert_eq!(explained["evaluation"]["reason"], "DEFAULT");

    let odd = body(
        &asked("a%20b%2F%F0%9F%9A%A9", json!({}))
            .of(&operations())
            .await,
    );
    assert_eq!(odd["explanation"]["flagKey"], "a b/🚩");
    let broken = body(&asked("broken", json!({})).of(&operations()).await);
    assert_eq!(broken["evaluation"]["errorCode"], "PARSE_ERROR");

    let without_body = post("/admin/flags/checkout/explain", "");
    assert_eq!(without_body.status(&operations()).await, 200);
    assert_eq!(asked("nowhere", json!({})).status(&operations()).await, 404);
    assert_eq!(asked("%ff", json!({})).status(&operations()).await, 400);
}

#[tokio::test]
async fn explaining_and_evaluation_are_about_the_same_made_up_entity() {
    let half = Flag::new("half")
        .enabled(true)
        .variant(crate::flag::Variant::new("on"))
        .segment(
            crate::flag::Segment::new()
                .rollout(50)
                .distribution("on", 100),
        );
    let vexilla = Vexilla::fixed([half]).with_empty_entity(EmptyEntity::RandomEach);
    let operations = Operations::insecure_without_token(vexilla);
    for _ in 0..64 {
        let explained = body(&post("/admin/flags/half/explain", "").of(&operations).await);
        let assigned = explained["evaluation"]["variantKey"] == "on";
        assert_eq!(explained["explanation"]["variantKey"] == "on", assigned);
    }
}

#[tokio::test]
async fn explaining_is_no_evaluation_that_counts() {
    let vexilla = Vexilla::fixed(flags()).with_evaluation_counts();
    let before = vexilla.evaluation_counts().unwrap();
    let operations = Operations::insecure_without_token(vexilla.clone());
    for key in ["checkout", "unknown"] {
        let path = format!("/admin/flags/{key}/explain");
        post(&path, r#"{"entityID":"7"}"#).of(&operations).await;
    }
    assert_eq!(vexilla.evaluation_counts().unwrap(), before);
}

#[tokio::test]
async fn an_override_of_a_flag_that_is_not_held_can_be_explained() {
    let vexilla = Vexilla::fixed([]).with_overrides(Overrides::new().set("mine", true));
    let operations = Operations::insecure_without_token(vexilla);
    let explained = post("/admin/flags/mine/explain", "").of(&operations).await;
    assert_eq!(explained.status(), 200);
    assert_eq!(body(&explained)["explanation"]["replacedBy"], "override");
}

#[tokio::test]
async fn bodies_that_are_not_what_is_read_are_refused() {
    let bomb = "[".repeat(60_000);
    let deep = format!(r#"{{"entityContext":{bomb}"#);
    for text in [
        "{",
        "[]",
        "5",
        "null",
        "{} x",
        "{}{}",
        "\u{feff}{}",
        &bomb,
        &deep,
    ] {
        let explain = post("/admin/flags/checkout/explain", text);
        assert_eq!(explain.status(&operations()).await, 400, "{:.40}", text);
    }
    let not_utf8 = post("/admin/flags/checkout/explain", b"{\"entityID\":\"\xff\"}");
    assert_eq!(not_utf8.status(&operations()).await, 400);
    for text in [
        "",
        "{}",
        r#"{"flag_key":""}"#,
        r#"{"flag_key":5}"#,
        r#"{"flag_key":null}"#,
        r#"{"flagKey":"a"}"#,
        r#"{"flag_key":"a"} x"#,
        r#""a""#,
        &bomb,
    ] {
        let invalidate = post("/admin/invalidate", text);
        let response = invalidate.of(&operations()).await;
        assert_eq!(response.status(), 400, "{text:.40}");
        assert!(body(&response)["error"].is_string());
    }
}

#[tokio::test(start_paused = true)]
async fn refreshing_and_invalidating_wait_for_the_fetch() {
    let source = Told::default();
    let vexilla = source.vexilla().await;
    let operations = Operations::insecure_without_token(vexilla.clone());
    for path in [
        "/admin/refresh",
        "/admin/invalidate",
        "/admin/invalidate-all",
    ] {
        let key = format!("new{}", path.len());
        source.flags([Flag::boolean(&key, true)]);
        let asked = post(path, r#"{"flag_key":"x"}"#);
        let response = asked.of(&operations).await;
        assert_eq!(response.status(), 200);
        assert_eq!(body(&response)["changed"], true, "{path}");
        assert!(vexilla.snapshot().flag(&key).is_some(), "{path}");
        assert_eq!(body(&asked.of(&operations).await)["changed"], false);

        source.fails(true);
        let response = asked.of(&operations).await;
        assert_eq!(response.status(), 502, "{path}");
        let error = body(&response)["error"].as_str().unwrap().to_owned();
        assert!(error.contains("out of order"), "{error}");
        assert!(vexilla.snapshot().flag(&key).is_some(), "nothing is lost");
        source.fails(false);
    }
    vexilla.shutdown(std::time::Duration::from_secs(1)).await;
    assert_eq!(post("/admin/refresh", "").status(&operations).await, 503);
}

#[tokio::test(start_paused = true)]
async fn a_loss_of_flags_is_kept_aside_until_an_operator_accepts_it() {
    let source = Told::exporting();
    let flags = || ["a", "b", "c"].map(|key| Flag::boolean(key, true));
    source.flags(flags());
    let vexilla = source.vexilla().await;
    let operations = Operations::insecure_without_token(vexilla.clone());
    source.flags([]);
    for path in ["/admin/refresh", "/admin/refresh?accept-loss=false"] {
        let refreshed = post(path, "").of(&operations).await;
        assert_eq!((refreshed.status(), vexilla.snapshot().len()), (200, 3));
        assert_eq!(body(&refreshed)["changed"], false);
        assert_eq!(body(&refreshed)["level"], "stale");
        let reason = body(&refreshed)["lastError"].clone();
        assert!(reason.as_str().unwrap().contains("3 of 3 flags"));
    }
    for query in ["accept_loss=true", "accept-loss", "accept-loss=yes", "x=1"] {
        let path = format!("/admin/refresh?{query}");
        assert_eq!(post(&path, "").status(&operations).await, 400, "{query}");
        assert_eq!(vexilla.snapshot().len(), 3);
    }
    let accepted = post("/admin/refresh?accept-loss=true", "");
    let accepted = accepted.of(&operations).await;
    assert_eq!(body(&accepted)["changed"], true);
    assert_eq!(body(&accepted)["before"]["flags"], 3);
    assert_eq!(body(&accepted)["flags"], 0);
    assert_eq!(body(&accepted)["level"], "live");
    assert!(vexilla.snapshot().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_service_is_ready_once_the_source_has_given_flags() {
    let source = Told::default();
    source.fails(true);
    let operations = Operations::insecure_without_token(source.vexilla().await);
    let response = get("/health/ready").of(&operations).await;
    assert_eq!(response.status(), 503);
    assert!(body(&response)["error"].is_string());
    assert_eq!(get("/health/live").status(&operations).await, 200);
    let health = get("/health").of(&operations).await;
    assert_eq!(health.status(), 200);
    assert_eq!(body(&health)["level"], "defaults");
    assert!(body(&health)["lastError"].is_string());

    source.fails(false);
    assert_eq!(post("/admin/refresh", "").status(&operations).await, 200);
    assert_eq!(get("/health/ready").status(&operations).await, 200);
    source.fails(true);
    assert_eq!(post("/admin/refresh", "").status(&operations).await, 502);
    assert_eq!(get("/health/ready").status(&operations).await, 200);
}

#[tokio::test]
async fn refusals_say_what_is_wrong() {
    let refusal = |path: &'static str, text: &'static str| async move {
        let response = post(path, text).of(&operations()).await;
        (response.status(), body(&response)["error"].clone())
    };
    let explain = "/admin/flags/checkout/explain";
    let (status, error) = refusal(explain, "{").await;
    let error = error.as_str().unwrap();
    assert!(error.starts_with("the body is not a valid JSON context: "));
    assert_eq!(status, 400);
    let missing = "/admin/flags/unknown/explain";
    let error = "no flag with this key is loaded".into();
    assert_eq!(refusal(missing, "").await, (404, error));
    let bad = "/admin/flags/%ff/explain";
    let error = "the flag key is not valid percent-encoded UTF-8".into();
    assert_eq!(refusal(bad, "").await, (400, error));
}

#[tokio::test(start_paused = true)]
async fn so_many_requests_wait_for_a_fetch_and_no_more() {
    let source = Told::exporting();
    let vexilla = source.vexilla().await;
    let operations = Operations::insecure_without_token(vexilla.clone());
    let ask = || post("/admin/refresh", "").request_to(&operations);
    let mut waiting: Vec<_> = (0..16).map(|_| Box::pin(ask())).collect();
    assert_eq!(ask().await.status(), 503);
    assert_eq!(get("/health/live").status(&operations).await, 200);
    // One that gives up makes room for another.
    drop(waiting.pop());
    let last = Box::pin(ask());
    for answer in waiting.into_iter().chain([last]) {
        assert_eq!(answer.await.status(), 200);
    }
    assert_eq!(ask().await.status(), 200);
}
