//! The webhook: triggers a check when notified of a change.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use subtle::Choice;
use tokio::time::Instant;

use super::error::OpsError;
use super::exchange::{ListenerKind, OpsRequest, OpsResponse};
use super::origin_check::refuse_foreign_origin;
use super::secret::{Secret, SigningKey, signature};
use super::warnings::Warnings;
use super::{DEFAULT_MAX_BODY_BYTES, Endpoints, OpsFuture, WEBHOOK_PATH};
use crate::vexilla::Vexilla;

/// The most characters of a body's words that are logged, of each.
const LOGGED_CHARS: usize = 64;

/// The most keys of a body that are logged.
const LOGGED_KEYS: usize = 8;

/// The webhook, see the [module](super).
///
/// Cheap to clone; clones share everything but the secrets.
#[derive(Debug, Clone)]
pub struct Webhook {
    vexilla: Vexilla,
    keys: Vec<SigningKey>,
    /// Headers, named in small letters, and what they must be.
    shared: Vec<(String, Secret)>,
    /// Made for a listener of its own.
    local: bool,
    max_body_bytes: usize,
    /// When refusals are logged as warnings.
    warnings: Arc<Warnings>,
}

/// Settings of a [`Webhook`].
#[derive(Debug, Clone)]
#[must_use]
pub struct WebhookBuilder {
    webhook: Webhook,
    without_secret: bool,
    error: Option<Wrong>,
}

/// What was wrong first.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    EmptySecret,
    BadSecret,
    BadHeaderName,
}

impl Webhook {
    /// A webhook that asks for a secret.
    #[expect(
        clippy::new_ret_no_self,
        reason = "there is no webhook without settings"
    )]
    pub fn new(vexilla: Vexilla) -> WebhookBuilder {
        WebhookBuilder {
            webhook: Self {
                vexilla,
                keys: Vec::new(),
                shared: Vec::new(),
                local: false,
                max_body_bytes: DEFAULT_MAX_BODY_BYTES,
                warnings: Arc::default(),
            },
            without_secret: false,
            error: None,
        }
    }

    /// A webhook for programs on this machine, for a listener of its own: a Unix
    /// socket, or a TCP listener on loopback. Secrets may be left out; a request
    /// without one causes at most a check of the source, limited in rate.
    /// Without a secret, mounted into an application, it answers 403 to
    /// everything.
    pub fn local(vexilla: Vexilla) -> WebhookBuilder {
        let mut builder = Self::new(vexilla);
        builder.webhook.local = true;
        builder.without_secret = true;
        builder
    }

    /// Why the request is refused, as far as its head tells.
    fn refuse_head(&self, request: &OpsRequest<'_>) -> Option<OpsResponse> {
        if !self.is_guarded() {
            match request.listener() {
                Some(ListenerKind::Unix) => {}
                Some(ListenerKind::Tcp) => {
                    if let Some(refusal) = refuse_foreign_origin(request) {
                        return Some(refusal);
                    }
                }
                None if self.local => {
                    let error = "a webhook made with local answers only on a listener of its own: mount one with a secret";
                    return Some(OpsResponse::refusal(403, error));
                }
                None => {}
            }
        }
        if !Self::is_mine(request.path_sent()) {
            return Some(OpsResponse::not_found());
        }
        if request.method() != "POST" {
            return Some(OpsResponse::not_allowed("POST"));
        }
        let too_large = request.is_larger_than(self.max_body_bytes);
        too_large.then(|| OpsResponse::too_large(self.max_body_bytes))
    }

    /// Whether the request proves that it comes from somebody who has one of
    /// the secrets. All are looked at, whichever is right.
    fn is_let_in(&self, request: &OpsRequest<'_>) -> bool {
        let mut right = Choice::from(u8::from(!self.is_guarded()));
        for (name, secret) in &self.shared {
            if let Some(value) = request.only_header(name) {
                right |= secret.is(value.trim_ascii());
            }
        }
        let signature = request
            .only_header("x-webhook-signature")
            .and_then(signature);
        if let Some(signature) = signature {
            for key in &self.keys {
                right |= key.signed(request.body_sent(), &signature);
            }
        }
        right.into()
    }

    fn log_refusal(&self) {
        const REFUSED: &str = "a webhook was refused: its signature or secret is missing or wrong";
        match self.warnings.is_due(Instant::now()) {
            true => tracing::warn!("{REFUSED}; others within a minute are logged at level debug"),
            false => tracing::debug!("{REFUSED}"),
        }
    }

    fn answer(&self, request: &OpsRequest<'_>) -> OpsResponse {
        #[derive(serde::Serialize)]
        struct Accepted {
            accepted: bool,
        }
        if let Some(refusal) = self.refuse_head(request) {
            return refusal;
        }
        if !self.is_let_in(request) {
            self.log_refusal();
            let error = "the signature or the secret is missing or wrong";
            return OpsResponse::refusal(401, error);
        }
        // Skipping takes neither memory nor stack, but does not look into strings.
        let json = str::from_utf8(request.body_sent())
            .ok()
            .filter(|body| serde_json::from_str::<IgnoredAny>(body).is_ok());
        let Some(json) = json else {
            return OpsResponse::refusal(400, "the body is not valid JSON");
        };
        log(json);
        self.vexilla.hint();
        OpsResponse::json(202, &Accepted { accepted: true })
    }
}

impl Endpoints for Webhook {
    fn is_mine(path: &str) -> bool {
        path == WEBHOOK_PATH
    }

    fn refuse(&self, head: &OpsRequest<'_>) -> Option<OpsResponse> {
        self.refuse_head(head)
    }

    fn handle(&self, request: OpsRequest<'_>) -> OpsFuture {
        Box::pin(std::future::ready(self.answer(&request)))
    }

    fn max_body_bytes(&self) -> usize {
        self.max_body_bytes
    }

    fn is_guarded(&self) -> bool {
        !self.keys.is_empty() || !self.shared.is_empty()
    }
}

impl WebhookBuilder {
    /// Lets bodies in that are signed with this secret. Can be set several
    /// times.
    pub fn signing_secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        let secret = secret.as_ref();
        match SigningKey::new(secret).filter(|_| !secret.trim_ascii().is_empty()) {
            Some(key) => self.webhook.keys.push(key),
            None => self.error = self.error.or(Some(Wrong::EmptySecret)),
        }
        self
    }

    /// Lets requests in that have this header (named in whatever case) with
    /// this value. Can be set several times, for one header or for several.
    pub fn shared_secret(mut self, header: &str, secret: &str) -> Self {
        let wrong = if !is_header_name(header) {
            Wrong::BadHeaderName
        } else if secret.trim().is_empty() {
            Wrong::EmptySecret
        } else if secret.trim() != secret || !secret.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        {
            Wrong::BadSecret
        } else {
            let secret = Secret::new(secret.as_bytes());
            self.webhook
                .shared
                .push((header.to_ascii_lowercase(), secret));
            return self;
        };
        self.error = self.error.or(Some(wrong));
        self
    }

    /// Needs no secret: everybody who reaches the webhook can cause checks of
    /// the source, one after the other.
    pub fn insecure_without_secret(mut self) -> Self {
        self.without_secret = true;
        self
    }

    /// Sets the most bytes that a body may have. Default: 64 KiB.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.webhook.max_body_bytes = bytes;
        self
    }

    /// The webhook.
    ///
    /// # Errors
    ///
    /// [`OpsError::EmptySecret`], [`OpsError::BadSecret`] and
    /// [`OpsError::BadHeaderName`] for a secret that cannot be;
    /// [`OpsError::NoSecret`] if there is none.
    pub fn build(self) -> Result<Webhook, OpsError> {
        match self.error {
            Some(Wrong::EmptySecret) => Err(OpsError::EmptySecret),
            Some(Wrong::BadSecret) => Err(OpsError::BadSecret),
            Some(Wrong::BadHeaderName) => Err(OpsError::BadHeaderName),
            None if !self.without_secret && !self.webhook.is_guarded() => Err(OpsError::NoSecret),
            None => Ok(self.webhook),
        }
    }
}

/// Whether a header can have this name (RFC 9110, `token`).
fn is_header_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

/// What a webhook says, for the log alone: Flagr's notification or an event.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Notice<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    flag_keys: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    operation: Cow<'a, str>,
    #[serde(borrow)]
    flag_key: Cow<'a, str>,
    #[serde(borrow)]
    component_type: Cow<'a, str>,
}

fn log(json: &str) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let notice = serde_json::from_str::<Notice<'_>>(json).unwrap_or_default();
    let cut = |word: &str| word.chars().take(LOGGED_CHARS).collect::<String>();
    let keys = notice.flag_keys.iter().chain([&notice.flag_key]);
    let keys = keys.filter(|key| !key.is_empty()).take(LOGGED_KEYS);
    tracing::debug!(
        event = cut(&notice.event),
        operation = cut(&notice.operation),
        component = cut(&notice.component_type),
        keys = ?keys.map(|key| cut(key)).collect::<Vec<_>>(),
        "a webhook says that flags have changed"
    );
}
