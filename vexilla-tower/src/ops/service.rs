//! Endpoints as a tower service.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tower_service::Service;
use vexilla_core::ops::{Endpoints, ListenerKind, Operations, OpsRequest, OpsResponse, Webhook};

/// The operations endpoints as a tower service.
pub type OpsService = EndpointsService<Operations>;

/// The webhook as a tower service.
pub type WebhookService = EndpointsService<Webhook>;

/// [`Operations`] or a [`Webhook`] as a tower service, which is always ready
/// and never fails.
#[derive(Debug, Clone)]
pub struct EndpointsService<E> {
    endpoints: E,
    prefix: Option<Arc<str>>,
}

impl<E: Endpoints> EndpointsService<E> {
    /// A service of these endpoints, at the root.
    #[must_use]
    pub fn new(endpoints: E) -> Self {
        Self {
            endpoints,
            prefix: None,
        }
    }

    /// Sets the path that stands in front of those of the endpoints, such as
    /// `/internal`, where no router takes it off. Default: none.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = Some(prefix.trim_end_matches('/').into());
        self
    }
}

impl<E, B> Service<Request<B>> for EndpointsService<E>
where
    E: Endpoints,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = AnswerFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> AnswerFuture {
        let Self { endpoints, prefix } = self.clone();
        AnswerFuture(Box::pin(async move {
            let (parts, body) = request.into_parts();
            let head = Head {
                parts: &parts,
                prefix: prefix.as_deref(),
                listener: None,
            };
            let limit = endpoints.max_body_bytes();
            Ok(answer(&endpoints, head, read(body, limit)).await)
        }))
    }
}

/// What is known of a request before its body.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) parts: &'a Parts,
    pub(super) prefix: Option<&'a str>,
    pub(super) listener: Option<ListenerKind>,
}

impl Head<'_> {
    /// Shows the request to endpoints.
    fn show<T>(self, body: &[u8], to: impl FnOnce(OpsRequest<'_>) -> T) -> T {
        let path = self.parts.uri.path();
        let rest = path.strip_prefix(self.prefix.unwrap_or_default());
        // What is not below the prefix is not found.
        let mut request = OpsRequest::new(self.parts)
            .path(rest.unwrap_or_default())
            .body(body);
        if let Some(kind) = self.listener {
            request = request.on_listener(kind);
        }
        to(request)
    }
}

/// Answers a request; its body is read if its head is let in.
pub(super) async fn answer<E: Endpoints>(
    endpoints: &E,
    head: Head<'_>,
    body: impl Future<Output = Result<Bytes, OpsResponse>>,
) -> Response<Full<Bytes>> {
    if let Some(refusal) = head.show(&[], |request| endpoints.refuse(&request)) {
        return response(refusal);
    }
    match body.await {
        Ok(body) => {
            let answer = head.show(&body, |request| endpoints.handle(request));
            response(answer.await)
        }
        Err(refusal) => response(refusal),
    }
}

/// Reads a body up to a limit, or says why not.
pub(super) async fn read<B>(body: B, limit: usize) -> Result<Bytes, OpsResponse>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(OpsResponse::too_large(limit)),
        Err(_) => Err(OpsResponse::broken_off()),
    }
}

fn response(answer: OpsResponse) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(answer.status());
    let headers = answer.headers();
    let mut response = Response::new(Full::from(answer.into_body()));
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        response.headers_mut().insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    response
}

/// The answer of an [`EndpointsService`], on its way.
pub struct AnswerFuture(Pin<Box<dyn Future<Output = Answer> + Send>>);

type Answer = Result<Response<Full<Bytes>>, Infallible>;

impl Future for AnswerFuture {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for AnswerFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerFuture").finish_non_exhaustive()
    }
}
