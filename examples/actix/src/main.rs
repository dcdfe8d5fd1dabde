//! Feature flags in an actix-web application.
//!
//! `cargo run -p vexilla-example-actix`, on port `PORT` or a free one, with the
//! flags of `examples/flags.json`.

use std::error::Error;
use std::net::Ipv4Addr;

use actix_web::{App, HttpResponse, HttpServer, Responder, get, web};
use vexilla_actix::request::{ContextRules, header};
use vexilla_actix::{FileSource, Flags, Vexilla, VexillaLayer};

#[get("/checkout")]
async fn checkout(flags: Flags) -> &'static str {
    if flags.bool("new_checkout_flow") {
        "the new checkout\n"
    } else {
        "the old checkout\n"
    }
}

#[get("/flags/{key}")]
async fn evaluate(key: web::Path<String>, flags: Flags) -> impl Responder {
    HttpResponse::Ok().json(flags.evaluate(&key))
}

#[actix_web::main]
#[expect(clippy::print_stdout, reason = "what the program is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = FileSource::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../flags.json"));
    let vexilla = Vexilla::builder(file).build().await?;
    // Anybody can send headers: a real service takes the entity from its
    // authentication, see the documentation of `vexilla-actix`.
    let layer = VexillaLayer::new(vexilla)
        .context(ContextRules::new().attribute("country", header("x-country")));

    let port = std::env::var("PORT").map_or(Ok(0), |port| port.parse())?;
    let server = HttpServer::new(move || {
        App::new()
            .wrap(layer.clone())
            .service(checkout)
            .service(evaluate)
    })
    .workers(2)
    .bind((Ipv4Addr::LOCALHOST, port))?;
    for address in server.addrs() {
        println!("serving on http://{address}");
    }
    server.run().await?;
    Ok(())
}
