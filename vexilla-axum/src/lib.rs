#![doc = include_str!("../README.md")]
// docs.rs shows which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod extract;
#[cfg(feature = "ops")]
pub mod ops;

pub use extract::{Flags, MissingLayerRejection};
#[doc(inline)]
pub use vexilla_tower::*;

/// The address of the peer from axum's `ConnectInfo<SocketAddr>`, for
/// [`VexillaLayer::peer_addr`]; serve the application with
/// `into_make_service_with_connect_info::<SocketAddr>()`.
#[cfg(feature = "axum")]
#[must_use]
pub fn connect_info(extensions: &http::Extensions) -> Option<std::net::SocketAddr> {
    use axum::extract::ConnectInfo;
    extensions
        .get::<ConnectInfo<std::net::SocketAddr>>()
        .map(|ConnectInfo(addr)| *addr)
}
