//! Feature flags in an axum application.
//!
//! `cargo run` serves it on <http://127.0.0.1:3000> with the flags of
//! `examples/flags.json`. `PORT` changes the port (0 takes a free one),
//! `FLAGR_URL` takes the flags from a Flagr server instead of the file,
//! `FLAGS_FILE` from another file.

use std::error::Error;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::response::{Html, Json};
use axum::routing::get;
use http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;
use vexilla_axum::request::{ContextRules, header};
use vexilla_axum::vexilla_core::bucket;
use vexilla_axum::vexilla_core::snapshot::Snapshot;
use vexilla_axum::{FileSource, FlagrSource, Flags, Vexilla, VexillaLayer};

/// The handler of an endpoint that has an old and a new way.
async fn checkout(flags: Flags) -> &'static str {
    if flags.bool("new_checkout_flow") {
        "the new checkout\n"
    } else {
        "the old checkout\n"
    }
}

/// One flag, evaluated for the request.
async fn evaluate(Path(key): Path<String>, flags: Flags) -> Json<serde_json::Value> {
    Json(serde_json::json!(flags.evaluate(&key)))
}

/// Why a flag is what it is.
async fn explain(Path(key): Path<String>, flags: Flags) -> String {
    flags.explain(&key).to_string()
}

/// All flags, and why they are what they are for this visitor.
async fn page(flags: Flags) -> Html<String> {
    let mut rows = String::new();
    for (key, evaluation) in flags.all() {
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td><pre>{}</pre></td></tr>",
            escaped(key),
            escaped(&evaluation.value().to_string()),
            escaped(evaluation.variant_key().unwrap_or("–")),
            evaluation.reason(),
            escaped(&flags.explain(key).to_string()),
        );
    }
    let context = serde_json::to_string(flags.context()).unwrap_or_default();
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Vexilla</title>\
         <style>body{{font-family:sans-serif}}td{{border-top:1px solid #ccc;padding:.3em 1em;\
         vertical-align:top}}pre{{margin:0}}</style>\
         <h1>Flags of this visitor</h1><p>The context: <code>{}</code></p>\
         <table><tr><th>Flag<th>Value<th>Variant<th>Reason<th>Why</tr>{rows}</table></html>",
        escaped(&context)
    ))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Which headers become attributes. Anybody can send them: a real service takes
/// the entity from its authentication, see the documentation of `vexilla-axum`.
fn rules() -> ContextRules {
    ContextRules::new()
        .attribute("country", header("x-country"))
        .attribute("tier", header("x-tier"))
        .attribute("age", header("x-age").number())
        .attribute("app_version", header("x-app-version"))
        .with(|request, context| {
            let cpf = request.header_str("x-cpf");
            if let Some(bucket) = cpf.and_then(bucket::cpf) {
                context.set("cpf_bucket", bucket);
            }
        })
}

async fn vexilla() -> Result<Vexilla, Box<dyn Error>> {
    if let Ok(url) = std::env::var("FLAGR_URL") {
        let source = FlagrSource::new(&url)?;
        return Ok(Vexilla::builder(source).build().await?);
    }
    let file = std::env::var_os("FLAGS_FILE")
        .unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/flags.json").into());
    Ok(Vexilla::builder(FileSource::new(file)).build().await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let port = match std::env::var("PORT") {
        Ok(port) => port
            .parse()
            .map_err(|_| format!("PORT {port:?} is no port"))?,
        Err(_) => 3000,
    };
    let vexilla = vexilla().await?;
    let snapshot = vexilla.snapshot();
    let app = Router::new()
        .route("/", get(page))
        .route("/checkout", get(checkout))
        .route("/flags/{key}", get(evaluate))
        .route("/flags/{key}/explain", get(explain))
        .layer(VexillaLayer::new(vexilla).context(rules()));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    print_hints(&app, &snapshot, listener.local_addr()?).await?;
    axum::serve(
        listener,
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(async {
        let _ = tokio::signal::ctrl_c().await;
    })
    .await?;
    Ok(())
}

/// What to try next, each with the answer that the application gives.
#[expect(clippy::print_stdout, reason = "what the program is for")]
async fn print_hints(
    app: &Router,
    snapshot: &Snapshot,
    address: SocketAddr,
) -> Result<(), Box<dyn Error>> {
    println!(
        "serving {} flags on http://{address}, all on its first page",
        snapshot.len()
    );
    for problem in snapshot.problems() {
        println!(
            "flag {:?} has a problem: {}",
            problem.flag_key, problem.message
        );
    }
    println!("try:");
    let mut hints = vec![
        ("/checkout".to_owned(), vec![("x-user-id", "alice")]),
        ("/checkout".to_owned(), vec![("x-user-id", "dora")]),
    ];
    for flag in snapshot.flags().take(8) {
        let headers = match flag.key.as_str() {
            "button_color" => vec![("x-user-id", "alice"), ("x-tier", "premium")],
            "cpf_rollout" => vec![("x-cpf", "123.456.789-09")],
            "beta_banner" => vec![("x-country", "BR"), ("x-age", "31")],
            _ => continue,
        };
        hints.push((format!("/flags/{}/explain", flag.key), headers));
    }
    for (path, headers) in hints {
        let mut request = Request::get(&path);
        let mut command = "curl".to_owned();
        for (name, value) in headers {
            request = request.header(name, value);
            let _ = write!(command, " -H '{name}: {value}'");
        }
        let response = app.clone().oneshot(request.body(Body::empty())?).await?;
        let answer = response.into_body().collect().await?.to_bytes();
        println!("\n$ {command} http://{address}{path}");
        println!("{}", String::from_utf8_lossy(&answer).trim_end());
    }
    println!("\nctrl-c stops it");
    Ok(())
}
