//! Feature flags in a plain tower service, served by hyper: no web framework.
//!
//! `cargo run -p vexilla-examples --bin hyper`, on port `PORT` or a free one.

use std::convert::Infallible;
use std::error::Error;
use std::net::Ipv4Addr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tower::{Layer, service_fn};
use vexilla_axum::{FileSource, Vexilla, VexillaLayer, flags_from};

async fn handle(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = match flags_from(&request) {
        Ok(flags) if flags.bool("new_checkout_flow") => "the new checkout\n".to_owned(),
        Ok(_) => "the old checkout\n".to_owned(),
        Err(missing_layer) => format!("{missing_layer}\n"),
    };
    Ok(Response::new(Full::from(body)))
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "what the program is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = FileSource::new(concat!(env!("CARGO_MANIFEST_DIR"), "/flags.json"));
    let vexilla = Vexilla::builder(file).build().await?;
    let service = VexillaLayer::new(vexilla).layer(service_fn(handle));

    let port = std::env::var("PORT").map_or(Ok(0), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("serving on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}
