//! The layer that gives every request its flags.

use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::HttpMessage;
use actix_web::dev::{Service, ServiceRequest, Transform};
use vexilla_core::request::actix::{RequestFlags, flags_from};
use vexilla_core::request::{ContextRules, LayerSettings, RequestView};
use vexilla_core::{Overrides, Vexilla};

/// Gives every request its flags, as middleware: `App::new().wrap(layer)`.
///
/// The layer leaves one extension in a request, and a request that reads no flag
/// pays for nothing else. When flags are first looked at, the context is made and
/// the flags are pinned as they are then: every later look at the same request
/// sees the same, however long it takes.
///
/// Make the layer outside of `HttpServer::new` and clone it inside.
///
/// # Order
///
/// What the rules read must be there when flags are first read. An extractor
/// in a handler reads late, so that middleware which puts the authenticated
/// user into the extensions may stand inside or outside of this one. Middleware
/// and guards that call [`flags_from`] read early: they, and an
/// [`eager`](Self::eager) layer, must stand inside of the authentication. The
/// middleware that is wrapped last stands outermost.
#[derive(Debug, Clone)]
pub struct VexillaLayer {
    settings: Arc<LayerSettings>,
}

impl VexillaLayer {
    /// A layer with the default [`ContextRules`].
    #[must_use]
    pub fn new(vexilla: Vexilla) -> Self {
        Self {
            settings: Arc::new(LayerSettings::new(vexilla)),
        }
    }

    /// Sets what of a request becomes entity and attributes.
    #[must_use]
    pub fn context(self, rules: ContextRules) -> Self {
        self.set(|settings| settings.rules = rules)
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

impl<S: Service<ServiceRequest>> Transform<S, ServiceRequest> for VexillaLayer {
    type Response = S::Response;
    type Error = S::Error;
    type Transform = VexillaService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(VexillaService {
            inner,
            settings: Rc::new(LayerSettings::clone(&self.settings)),
        }))
    }
}

/// The service that [`VexillaLayer`] makes.
#[derive(Debug)]
pub struct VexillaService<S> {
    inner: S,
    /// A copy for this worker, which its requests share without atomic
    /// operations.
    settings: Rc<LayerSettings>,
}

impl<S: Service<ServiceRequest>> Service<ServiceRequest> for VexillaService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let record = RequestFlags::new(Rc::clone(&self.settings));
        request.extensions_mut().insert(record);
        if self.settings.eager
            && let Ok(flags) = flags_from(&request)
        {
            request.extensions_mut().insert(flags);
        }
        self.inner.call(request)
    }
}
