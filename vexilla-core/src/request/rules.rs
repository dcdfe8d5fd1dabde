//! What of a request becomes entity and attributes.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::address::AddressText;
use super::making::Making;
use super::{Field, FlagsFromError, InjectedContext, RequestView, cookie, header};
use crate::context::Context;

/// What of a request becomes entity and attributes.
///
/// Rules apply in this order: entity, default attributes, attributes, closures,
/// injected attributes; what comes later goes before what came earlier.
#[derive(Clone)]
pub struct ContextRules {
    entity: Entity,
    entity_type: Cow<'static, str>,
    /// The first of the request attributes, unless they are left out.
    user_agent: Option<Field>,
    attributes: Vec<(Cow<'static, str>, Field)>,
    closures: Vec<Change>,
    injected: Option<InjectedContext>,
    /// A closure that reads flags was logged.
    logged_read: Arc<AtomicBool>,
}

/// Room for the names of the request attributes and for their values, without
/// the path: browsers name themselves in 80 to 150 bytes.
const REQUEST_ATTRIBUTES: usize = 224;

/// Room for the names of the injected attributes, and for some headers.
const INJECTED: usize = 192;

type Change = Arc<dyn Fn(&RequestView<'_>, &mut Context) + Send + Sync>;
type FindEntity = Arc<dyn Fn(&RequestView<'_>) -> Option<String> + Send + Sync>;

#[derive(Clone)]
enum Entity {
    Field(Field),
    Closure(FindEntity),
}

impl Default for ContextRules {
    fn default() -> Self {
        Self::new()
    }
}

impl ContextRules {
    /// The defaults: the entity is the `x-user-id` header, else the `user_id`
    /// cookie, of the type `user`; the attributes are `user_agent`, `path`,
    /// `method` and, where known, `remote_addr`.
    #[must_use]
    pub fn new() -> Self {
        Self {
            entity: Entity::Field(header("x-user-id").or(cookie("user_id"))),
            entity_type: "user".into(),
            user_agent: Some(header("user-agent")),
            attributes: Vec::new(),
            closures: Vec::new(),
            injected: None,
            logged_read: Arc::default(),
        }
    }

    /// Takes the entity's id from this field instead.
    #[must_use]
    pub fn entity(mut self, field: Field) -> Self {
        self.entity = Entity::Field(field);
        self
    }

    /// Takes the entity's id from a closure instead: the way for an id that an
    /// authentication layer has established.
    #[must_use]
    pub fn entity_with(
        mut self,
        find: impl Fn(&RequestView<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.entity = Entity::Closure(Arc::new(find));
        self
    }

    /// Sets the kind of entity. Default: `user`.
    #[must_use]
    pub fn entity_type(mut self, entity_type: impl Into<Cow<'static, str>>) -> Self {
        self.entity_type = entity_type.into();
        self
    }

    /// Makes an attribute of a header or a cookie; without a value there is no
    /// attribute.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<Cow<'static, str>>, field: Field) -> Self {
        self.attributes.push((name.into(), field));
        self
    }

    /// Leaves out `user_agent`, `path`, `method` and `remote_addr`.
    #[must_use]
    pub fn without_request_attributes(mut self) -> Self {
        self.user_agent = None;
        self
    }

    /// Hands the request and the context to a closure, which can change
    /// anything in the context.
    #[must_use]
    pub fn with(
        mut self,
        change: impl Fn(&RequestView<'_>, &mut Context) + Send + Sync + 'static,
    ) -> Self {
        self.closures.push(Arc::new(change));
        self
    }

    /// Adds what a Flagr server with injected context would add.
    #[must_use]
    pub fn inject(mut self, injected: InjectedContext) -> Self {
        self.injected = Some(injected);
        self
    }

    /// The context of a request.
    #[must_use]
    pub fn context(&self, request: &RequestView<'_>) -> Context {
        let mut context = self.empty_context(request);
        match &self.entity {
            Entity::Field(field) => field.set_entity(request, &mut context),
            Entity::Closure(find) => context.set_entity_id(&find(request).unwrap_or_default()),
        }
        context.set_entity_type(&self.entity_type);
        if let Some(user_agent) = &self.user_agent {
            user_agent.set("user_agent", request, &mut context);
            context.set("path", request.path());
            context.set("method", request.method());
            if let Some(peer) = request.peer_addr() {
                context.set("remote_addr", AddressText::new(peer.ip()).as_str());
            }
        }
        for (name, field) in &self.attributes {
            field.set(name, request, &mut context);
        }
        for change in &self.closures {
            change(request, &mut context);
        }
        if let Some(injected) = &self.injected {
            injected.add(Some(request), &mut context);
        }
        context
    }

    /// The context of a request, to make its flags of: as
    /// [`context`](Self::context), unless this thread is already making the
    /// context of a request for its flags, since then a closure of rules reads
    /// flags. The first such error of the rules and their clones is logged.
    pub(super) fn context_for_flags(
        &self,
        request: &RequestView<'_>,
    ) -> Result<Context, FlagsFromError> {
        match Making::begin() {
            Some(_making) => Ok(self.context(request)),
            None => {
                let error = FlagsFromError::ReadInRules;
                if !self.logged_read.swap(true, Ordering::Relaxed) {
                    tracing::error!("{error}");
                }
                Err(error)
            }
        }
    }

    /// A context with room for what the rules put into it, as far as can be
    /// told beforehand, so that its text need not grow.
    fn empty_context(&self, request: &RequestView<'_>) -> Context {
        const VALUE: usize = 24;
        let named = self.attributes.iter().map(|(name, _)| name.len() + VALUE);
        let mut text = 2 * VALUE + self.entity_type.len() + named.sum::<usize>();
        let mut attributes = self.attributes.len();
        if self.user_agent.is_some() {
            text += REQUEST_ATTRIBUTES + request.path().len();
            attributes += 3 + usize::from(request.peer_addr().is_some());
        }
        if self.injected.is_some() {
            text += INJECTED;
            attributes += 8;
        }
        let by_closures = self.closures.len();
        text += 2 * VALUE * by_closures;
        attributes += by_closures;
        Context::with_capacity(text, attributes)
    }
}

impl fmt::Debug for ContextRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entity: &dyn fmt::Debug = match &self.entity {
            Entity::Field(field) => field,
            Entity::Closure(_) => &"closure",
        };
        f.debug_struct("ContextRules")
            .field("entity", entity)
            .field("entity_type", &self.entity_type)
            .field("request_attributes", &self.user_agent.is_some())
            .field("attributes", &self.attributes)
            .field("closures", &self.closures.len())
            .field("injected", &self.injected)
            .finish()
    }
}
