//! The layer that gives every request its flags.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Extensions, Request, Uri};
use tower_layer::Layer;
use tower_service::Service;
use vexilla_core::request::http::{InExtensions, RequestFlags, flags_from};
use vexilla_core::request::{ContextRules, LayerSettings, RequestView};
use vexilla_core::{Overrides, Vexilla};

/// Gives every request its flags.
///
/// The layer leaves one extension in a request, and a request that reads no flag
/// pays for nothing else. When flags are first looked at, the context is made and
/// the flags are pinned as they are then: every later look at the same request
/// sees the same, however long it takes.
///
/// # Order
///
/// What the rules read must be there when flags are first read. An extractor
/// in a handler reads late, so that a layer which puts the authenticated user
/// into the extensions may stand inside or outside of this one. Middleware that
/// calls [`flags_from`] reads early: it, and an [`eager`](Self::eager) layer,
/// must stand inside of the authentication.
///
/// A router that nests others may show them only the rest of the path; then the
/// attribute `path`, read late, is that rest. An eager layer outside of the router
/// sees the whole path, and so does the layer of `vexilla-axum` in any place.
#[derive(Debug, Clone)]
pub struct VexillaLayer {
    settings: Arc<LayerSettings>,
    in_extensions: InExtensions,
}

impl VexillaLayer {
    /// A layer with the default [`ContextRules`].
    #[must_use]
    pub fn new(vexilla: Vexilla) -> Self {
        Self {
            settings: Arc::new(LayerSettings::new(vexilla)),
            in_extensions: InExtensions::default(),
        }
    }

    /// Sets what of a request becomes entity and attributes.
    #[must_use]
    pub fn context(self, rules: ContextRules) -> Self {
        self.set(|settings| settings.rules = rules)
    }

    /// Sets how the address of the peer is found in the request's extensions.
    /// Default: [`PeerAddr`](crate::PeerAddr).
    #[must_use]
    pub fn peer_addr(mut self, find: fn(&Extensions) -> Option<SocketAddr>) -> Self {
        self.in_extensions.peer_addr = find;
        self
    }

    /// Sets how the URI that was sent is found in the request's extensions, where
    /// the request may hold a part of it.
    #[doc(hidden)]
    #[must_use]
    pub fn original_uri(mut self, find: fn(&Extensions) -> Option<&Uri>) -> Self {
        self.in_extensions.original_uri = find;
        self
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
        self.set(|settings| settings.overrides = Some(Arc::new(make)))
    }

    /// Makes the context in the layer and leaves [`Flags`](vexilla_core::Flags)
    /// in the extensions, for handlers that see nothing else of the request.
    #[must_use]
    pub fn eager(self) -> Self {
        self.set(|settings| settings.eager = true)
    }

    fn set(mut self, change: impl FnOnce(&mut LayerSettings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<S> Layer<S> for VexillaLayer {
    type Service = VexillaService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        VexillaService {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service that [`VexillaLayer`] makes.
#[derive(Debug, Clone)]
pub struct VexillaService<S> {
    inner: S,
    layer: VexillaLayer,
}

impl<S, B> Service<Request<B>> for VexillaService<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let VexillaLayer {
            settings,
            in_extensions,
        } = &self.layer;
        let record = RequestFlags::new(Arc::clone(settings), *in_extensions);
        request.extensions_mut().insert(record);
        if settings.eager
            && let Ok(flags) = flags_from(&request)
        {
            request.extensions_mut().insert(flags);
        }
        self.inner.call(request)
    }
}
