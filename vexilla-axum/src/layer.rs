//! The layer that gives every request its flags, with what axum knows of it.

use std::net::SocketAddr;

use axum::extract::OriginalUri;
use http::{Extensions, Uri};
use tower_layer::Layer;
use vexilla_core::request::{ContextRules, RequestView};
use vexilla_core::{Overrides, Vexilla};
use vexilla_tower::VexillaService;

/// Gives every request its flags: `Router::layer(VexillaLayer::new(vexilla))`.
///
/// The layer leaves one extension in a request, and a request that reads no flag
/// pays for nothing else. When flags are first looked at, the context is made and
/// the flags are pinned as they are then: every later look at the same request
/// sees the same, however long it takes.
///
/// The attribute `path` is the path that was sent, in nested routers, too. The
/// attribute `remote_addr` comes from axum's `ConnectInfo<SocketAddr>` (feature
/// `connect-info`, on by default), if the application is served with
/// `into_make_service_with_connect_info::<SocketAddr>()`, else from a
/// [`PeerAddr`](crate::PeerAddr).
///
/// # Order
///
/// What the rules read must be there when flags are first read. An extractor
/// in a handler reads late, so that a layer which puts the authenticated user
/// into the extensions may stand inside or outside of this one. Middleware that
/// calls [`flags_from`](crate::flags_from) reads early: it, and an
/// [`eager`](Self::eager) layer, must stand inside of the authentication.
#[derive(Debug, Clone)]
pub struct VexillaLayer {
    layer: vexilla_tower::VexillaLayer,
}

impl VexillaLayer {
    /// A layer with the default [`ContextRules`].
    #[must_use]
    pub fn new(vexilla: Vexilla) -> Self {
        let layer = vexilla_tower::VexillaLayer::new(vexilla);
        Self {
            layer: layer.peer_addr(peer_addr).original_uri(original_uri),
        }
    }

    /// Sets what of a request becomes entity and attributes.
    #[must_use]
    pub fn context(self, rules: ContextRules) -> Self {
        Self {
            layer: self.layer.context(rules),
        }
    }

    /// Sets how the address of the peer is found in the request's extensions.
    /// Default: axum's `ConnectInfo<SocketAddr>`, else a
    /// [`PeerAddr`](crate::PeerAddr).
    #[must_use]
    pub fn peer_addr(self, find: fn(&Extensions) -> Option<SocketAddr>) -> Self {
        Self {
            layer: self.layer.peer_addr(find),
        }
    }

    /// Sets how the overrides of a request are made, such as those of a preview.
    /// They take precedence over [`Vexilla::set_overrides`] and over what the flags
    /// say. Called once for each request that reads flags, with the request as it is
    /// then; it has to check that the request may set them. Default: none.
    #[must_use]
    pub fn overrides(
        self,
        make: impl Fn(&RequestView<'_>) -> Option<Overrides> + Send + Sync + 'static,
    ) -> Self {
        Self {
            layer: self.layer.overrides(make),
        }
    }

    /// Makes the context in the layer and leaves [`Flags`](crate::Flags) in the
    /// extensions, for handlers that see nothing else of the request.
    #[must_use]
    pub fn eager(self) -> Self {
        Self {
            layer: self.layer.eager(),
        }
    }
}

impl<S> Layer<S> for VexillaLayer {
    type Service = VexillaService<S>;

    fn layer(&self, inner: S) -> VexillaService<S> {
        self.layer.layer(inner)
    }
}

fn original_uri(extensions: &Extensions) -> Option<&Uri> {
    extensions.get::<OriginalUri>().map(|OriginalUri(uri)| uri)
}

fn peer_addr(extensions: &Extensions) -> Option<SocketAddr> {
    #[cfg(feature = "connect-info")]
    if let Some(axum::extract::ConnectInfo(addr)) = extensions.get() {
        return Some(*addr);
    }
    let peer = extensions.get::<crate::PeerAddr>();
    peer.map(|crate::PeerAddr(addr)| *addr)
}
