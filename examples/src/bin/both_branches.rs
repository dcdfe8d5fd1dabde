//! Testing both branches of a handler: overrides set the flag, no Flagr and no
//! file is needed. `cargo test -p vexilla-examples` runs the test below.
//!
//! `cargo run -p vexilla-examples --bin both_branches` prints both answers.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;
use vexilla_axum::{Flags, Overrides, Vexilla, VexillaLayer};

async fn greeting(flags: Flags) -> &'static str {
    if flags.bool("new_greeting") {
        "Ahoy!"
    } else {
        "Hello."
    }
}

fn app(vexilla: Vexilla) -> Router {
    Router::new()
        .route("/", get(greeting))
        .layer(VexillaLayer::new(vexilla))
}

/// The answer with the flag set to a value.
async fn answer(new_greeting: bool) -> Result<String, Box<dyn std::error::Error>> {
    let overrides = Overrides::new().set("new_greeting", new_greeting);
    let app = app(Vexilla::fixed([]).with_overrides(overrides));
    let response = app.oneshot(Request::new(Body::empty())).await?;
    let body = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.into())?)
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "what the program is for")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("off: {}", answer(false).await?);
    println!("on: {}", answer(true).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn both_branches_greet() {
        assert_eq!(super::answer(false).await.unwrap(), "Hello.");
        assert_eq!(super::answer(true).await.unwrap(), "Ahoy!");
    }
}
