//! Flags in actix-web applications, through its test service.

mod common;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::guard::{self, GuardContext};
use actix_web::http::StatusCode;
use actix_web::middleware::{Next, from_fn};
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::web::{self, get, resource, scope};
use actix_web::{App, Error, HttpMessage, HttpRequest};
use common::{FLAG, layer, read, rules, vexilla};
use vexilla_actix::flag::Flag;
use vexilla_actix::request::{ContextRules, RequestView, header};
use vexilla_actix::{
    Context, EmptyEntity, Flags, FlagsFromError, Overrides, Vexilla, VexillaLayer, flags_from,
    set_flags,
};

fn fixed(value: bool) -> VexillaLayer {
    VexillaLayer::new(Vexilla::fixed([Flag::boolean(FLAG, value)]))
}

/// Rules whose closure counts how often a context is made.
fn counting() -> (ContextRules, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let rules = rules().with(move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    (rules, count)
}

/// Who an authentication middleware says it is.
#[derive(Clone)]
struct User(&'static str);

/// A layer whose closures read what an authentication middleware left.
fn authenticated() -> VexillaLayer {
    let entity = ContextRules::new()
        .entity_with(|request| request.extension::<User>().map(|user| user.0.to_owned()));
    let rules = entity.with(|request, context| {
        context.set("user", request.local_extension::<User>().map(|user| user.0));
    });
    VexillaLayer::new(vexilla()).context(rules)
}

async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    request.extensions_mut().insert(User("7"));
    next.call(request).await
}

async fn read_if_there(flags: Option<Flags>) -> String {
    format!("{:?}", flags.map(|flags| flags.bool(FLAG)))
}

fn is_on(request: &GuardContext<'_>) -> bool {
    flags_from(request).is_ok_and(|flags| flags.bool(FLAG))
}

/// The answer of an application, without a socket.
macro_rules! answer {
    ($app:expr, $path:expr, $user:expr) => {{
        let service = init_service($app).await;
        let request = TestRequest::get()
            .uri($path)
            .insert_header(("x-user-id", $user));
        let response = call_service(&service, request.to_request()).await;
        let status = response.status();
        let body = read_body(response).await;
        (status, String::from_utf8(body.to_vec()).unwrap())
    }};
}

/// A body of status 200, without a socket.
macro_rules! body {
    ($app:expr, $path:expr, $user:expr) => {{
        let (status, body) = answer!($app, $path, $user);
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }};
}

#[actix_web::test]
async fn a_handler_gets_flags() {
    let app = || App::new().wrap(layer()).route("/", get().to(read));
    assert_eq!(body!(app(), "/", "7"), "true");
    assert_eq!(body!(app(), "/", "8"), "false");
}

#[actix_web::test]
async fn a_handler_reads_the_same_flags_from_the_request() {
    async fn handler(flags: Flags, path: web::Path<u8>, request: HttpRequest) -> String {
        for request in [request.clone(), request] {
            let same = flags_from(&request).unwrap();
            assert!(std::ptr::eq(
                same.context().entity_id(),
                flags.context().entity_id()
            ));
        }
        format!("{path} {}", flags.bool(FLAG))
    }
    let (rules, contexts) = counting();
    let layer = VexillaLayer::new(vexilla()).context(rules);
    let app = App::new()
        .wrap(layer)
        .route("/users/{id}", get().to(handler));
    assert_eq!(body!(app, "/users/3", "7"), "3 true");
    assert_eq!(contexts.load(Ordering::Relaxed), 1);
}

#[actix_web::test]
async fn a_request_that_reads_no_flag_makes_no_context() {
    let (rules, contexts) = counting();
    let layer = VexillaLayer::new(vexilla()).context(rules);
    let app = App::new()
        .wrap(layer)
        .route("/", get().to(async || "nothing"));
    assert_eq!(body!(app, "/", "7"), "nothing");
    assert_eq!(contexts.load(Ordering::Relaxed), 0);
}

#[actix_web::test]
async fn without_the_layer_a_handler_rejects_with_the_fix() {
    let app = App::new().route("/", get().to(read));
    let rejection = (
        StatusCode::INTERNAL_SERVER_ERROR,
        FlagsFromError::MissingLayer.to_string(),
    );
    assert_eq!(answer!(app, "/", "7"), rejection);
    let request = TestRequest::default().to_http_request();
    assert_eq!(
        flags_from(&request).unwrap_err(),
        FlagsFromError::MissingLayer
    );
}

#[actix_web::test]
async fn an_optional_extractor_does_without_the_layer() {
    let app = || App::new().route("/", get().to(read_if_there));
    assert_eq!(body!(app(), "/", "7"), "None");
    assert_eq!(body!(app().wrap(layer()), "/", "7"), "Some(true)");
}

#[actix_web::test]
async fn a_layer_around_a_scope_or_a_resource_is_for_that_alone() {
    let app = || {
        App::new()
            .service(
                scope("/scope")
                    .wrap(layer())
                    .route("/{any}", get().to(read_if_there)),
            )
            .service(
                resource("/resource")
                    .wrap(layer())
                    .route(get().to(read_if_there)),
            )
            .route("/out", get().to(read_if_there))
    };
    assert_eq!(body!(app(), "/scope/in", "7"), "Some(true)");
    assert_eq!(body!(app(), "/resource", "7"), "Some(true)");
    assert_eq!(body!(app(), "/out", "7"), "None");
}

#[actix_web::test]
async fn of_two_layers_the_inner_one_wins() {
    let app = |outer: VexillaLayer| {
        let inner = scope("/inner").wrap(fixed(true));
        App::new()
            .wrap(outer)
            .service(inner.route("", get().to(read)))
            .route("/outer", get().to(read))
    };
    for outer in [fixed(false), fixed(false).eager()] {
        assert_eq!(body!(app(outer.clone()), "/inner", "7"), "true");
        assert_eq!(body!(app(outer), "/outer", "7"), "false");
    }
}

#[actix_web::test]
async fn middleware_inside_of_the_layer_reads_the_same_flags() {
    // Routing comes afterwards: it needs the request for itself.
    let app = || {
        App::new()
            .wrap_fn(|request, next| {
                let on = flags_from(&request).map(|flags| flags.bool(FLAG));
                request.extensions_mut().insert(on);
                next.call(request)
            })
            .route(
                "/users/{id}",
                get().to(async |request: HttpRequest, flags: Option<Flags>| {
                    let on = request
                        .extensions()
                        .get::<Result<bool, FlagsFromError>>()
                        .copied();
                    let id = request.match_info().query("id").to_owned();
                    format!("{id} {on:?} {:?}", flags.map(|flags| flags.bool(FLAG)))
                }),
            )
    };
    assert_eq!(
        body!(app().wrap(layer()), "/users/3", "7"),
        "3 Some(Ok(true)) Some(true)"
    );
    assert_eq!(
        body!(app().wrap(layer()), "/users/3", "8"),
        "3 Some(Ok(false)) Some(false)"
    );
    assert_eq!(
        body!(app(), "/users/3", "7"),
        "3 Some(Err(MissingLayer)) None"
    );
}

#[actix_web::test]
async fn a_guard_chooses_by_a_flag() {
    let (rules, contexts) = counting();
    let layer = VexillaLayer::new(vexilla()).context(rules);
    let app = || {
        let new = resource("/users/{id}")
            .guard(guard::fn_guard(is_on))
            .route(get().to(async |flags: Flags| format!("new {}", flags.bool(FLAG))));
        let old = resource("/users/{id}")
            .route(get().to(async |flags: Option<Flags>| format!("old {}", flags.is_some())));
        App::new().service(new).service(old)
    };
    assert_eq!(
        body!(app().wrap(layer.clone()), "/users/3", "7"),
        "new true"
    );
    assert_eq!(contexts.load(Ordering::Relaxed), 1);
    assert_eq!(body!(app().wrap(layer), "/users/3", "8"), "old true");
    assert_eq!(body!(app(), "/users/3", "7"), "old false");
}

#[actix_web::test]
async fn closures_may_read_extensions_wherever_flags_are_read() {
    // In a handler.
    let app = App::new()
        .wrap(authenticated())
        .wrap(from_fn(authenticate))
        .route("/", get().to(read));
    assert_eq!(body!(app, "/", "forged"), "true");
    // In an eager layer.
    let app = App::new()
        .wrap(authenticated().eager())
        .wrap(from_fn(authenticate))
        .route("/", get().to(read));
    assert_eq!(body!(app, "/", "forged"), "true");
    // In middleware.
    let app = App::new()
        .wrap_fn(|request, next| {
            assert!(flags_from(&request).unwrap().bool(FLAG));
            next.call(request)
        })
        .wrap(authenticated())
        .wrap(from_fn(authenticate))
        .route("/", get().to(read));
    assert_eq!(body!(app, "/", "forged"), "true");
    // In a guard.
    let guarded = resource("/").guard(guard::fn_guard(is_on));
    let app = App::new()
        .wrap(authenticated())
        .wrap(from_fn(authenticate))
        .service(guarded.route(get().to(read)));
    assert_eq!(body!(app, "/", "forged"), "true");
    // Unknown, without the authentication.
    let app = App::new().wrap(authenticated()).route("/", get().to(read));
    assert_eq!(body!(app, "/", "forged"), "false");
}

#[actix_web::test]
async fn rules_within_rules_read_their_own_headers() {
    async fn answer(flags: Flags) -> String {
        let context = flags.context();
        let text = |name| format!("{:?}", context.attribute(name));
        [text("nothing"), text("plan"), text("country")].concat()
    }
    let within = ContextRules::new().entity(header("x-country"));
    let rules = ContextRules::new()
        .attribute("plan", header("x-plan"))
        .attribute("nothing", header("no such name"))
        .with(move |request, context| {
            context.set("country", within.context(request).entity_id());
        });
    let app = App::new()
        .wrap(VexillaLayer::new(vexilla()).context(rules))
        .route("/", get().to(answer));
    let request = TestRequest::get()
        .insert_header(("x-country", "BR"))
        .insert_header(("x-plan", "pro"));
    let response = call_service(&init_service(app).await, request.to_request()).await;
    assert_eq!(
        read_body(response).await,
        r#"NoneSome(String("pro"))Some(String("BR"))"#
    );
}

#[actix_web::test]
async fn rules_that_read_flags_get_an_error_and_the_request_gets_its_flags() {
    async fn answer(flags: Flags) -> String {
        let context = flags.context();
        format!("{} {:?}", context.entity_id(), context.attribute("error"))
    }
    fn leave_request<S: Service<ServiceRequest>>(request: ServiceRequest, next: &S) -> S::Future {
        let http_request = request.request().clone();
        request.extensions_mut().insert(http_request);
        next.call(request)
    }
    let rules = ContextRules::new().with(|request, context| {
        let within = request.local_extension::<HttpRequest>().unwrap();
        // Even a change must find the extensions free.
        within.extensions_mut().insert("a mark");
        let error = flags_from(&within).err();
        context.set("error", error.map(|error| format!("{error:?}")));
    });
    let app = App::new()
        .wrap(VexillaLayer::new(vexilla()).context(rules))
        .service(resource("/").wrap_fn(leave_request).get(answer));
    assert_eq!(body!(app, "/", "7"), r#"7 Some(String("ReadInRules"))"#);
}

#[actix_web::test]
async fn an_authentication_inside_of_the_layer_is_seen_by_extractors() {
    let app = App::new()
        .wrap(from_fn(authenticate))
        .wrap(authenticated())
        .route("/", get().to(read));
    assert_eq!(body!(app, "/", "forged"), "true");
}

#[actix_web::test]
async fn flags_are_there_after_the_handler() {
    let app = App::new()
        .wrap_fn(|request, next| {
            let answer = next.call(request);
            async move {
                let answer = answer.await?;
                assert!(flags_from(answer.request()).unwrap().bool(FLAG));
                Ok(answer)
            }
        })
        .wrap(layer())
        .route("/", get().to(async || "unread"));
    assert_eq!(body!(app, "/", "7"), "unread");
}

#[actix_web::test]
async fn eager_leaves_flags_in_the_extensions() {
    async fn handler(request: HttpRequest) -> String {
        // What the extractor derefs to.
        let flags = request.extensions().get::<Flags>().cloned();
        format!("{:?}", flags.map(|flags| flags.bool(FLAG)))
    }
    let app = |layer| {
        App::new()
            .wrap(layer)
            .route("/users/{id}", get().to(handler))
    };
    assert_eq!(body!(app(layer().eager()), "/users/3", "7"), "Some(true)");
    assert_eq!(body!(app(layer()), "/users/3", "7"), "None");
}

#[actix_web::test]
async fn flags_that_change_after_the_first_look_do_not_change_for_the_request() {
    let vexilla = Vexilla::fixed([Flag::boolean(FLAG, true)]);
    let change = vexilla.clone();
    let handler = move |request: HttpRequest| {
        let first = flags_from(&request).unwrap().bool(FLAG);
        change.replace([Flag::boolean(FLAG, !first)]);
        let second = flags_from(&request).unwrap().bool(FLAG);
        async move { format!("{first} {second}") }
    };
    let app = || {
        App::new()
            .wrap(VexillaLayer::new(vexilla.clone()))
            .route("/", get().to(handler.clone()))
    };
    assert_eq!(body!(app(), "/", "7"), "true true");
    assert_eq!(body!(app(), "/", "7"), "false false");
}

#[actix_web::test]
async fn flags_are_pinned_at_the_first_look() {
    let vexilla = Vexilla::fixed([Flag::boolean(FLAG, true)]);
    let change = vexilla.clone();
    let handler = move |request: HttpRequest| {
        change.replace([Flag::boolean(FLAG, false)]);
        let flags = flags_from(&request).unwrap();
        async move { flags.bool(FLAG).to_string() }
    };
    let app = App::new()
        .wrap(VexillaLayer::new(vexilla))
        .route("/", get().to(handler));
    assert_eq!(body!(app, "/", "7"), "false");
}

#[actix_web::test]
async fn an_anonymous_visitor_is_the_same_at_each_read() {
    async fn handler(flags: Flags, request: HttpRequest) -> String {
        let again = flags_from(&request).unwrap();
        assert_eq!(again.context().entity_id(), flags.context().entity_id());
        flags.context().entity_id().to_owned()
    }
    let vexilla = vexilla().with_empty_entity(EmptyEntity::RandomOnce);
    let layer = VexillaLayer::new(vexilla);
    let app = || App::new().wrap(layer.clone()).route("/", get().to(handler));
    let (first, second) = (body!(app(), "/", ""), body!(app(), "/", ""));
    assert!(!first.is_empty() && first != second, "{first} {second}");
}

#[actix_web::test]
async fn attributes_are_those_of_the_request() {
    async fn attributes(flags: Flags) -> String {
        let context = flags.context();
        let mut attributes: Vec<_> = context.attributes().collect();
        attributes.sort_by_key(|(name, _)| *name);
        format!("{} {attributes:?}", context.entity_id())
    }
    let app = App::new()
        .wrap(fixed(true))
        .service(scope("/here").route("/there", web::put().to(attributes)));
    let service = init_service(app).await;
    let request = TestRequest::put()
        .uri("/here/there?secret=1")
        .peer_addr("192.0.2.7:4711".parse().unwrap())
        .insert_header(("user-agent", "curl/8"))
        .append_header(("cookie", "a=b"))
        .append_header(("cookie", "user_id=\"9\""));
    let answer = call_service(&service, request.to_request()).await;
    assert_eq!(
        String::from_utf8_lossy(&read_body(answer).await),
        "9 [(\"method\", String(\"PUT\")), (\"path\", String(\"/here/there\")), \
         (\"remote_addr\", String(\"192.0.2.7\")), (\"user_agent\", String(\"curl/8\"))]"
    );
}

#[actix_web::test]
async fn errors_of_the_application_pass() {
    let failing = async || Err::<String, _>(actix_web::error::ErrorConflict("taken"));
    let app = App::new()
        .wrap(layer().eager())
        .route("/", get().to(failing));
    assert_eq!(
        answer!(app, "/", "7"),
        (StatusCode::CONFLICT, "taken".to_owned())
    );
}

#[actix_web::test]
async fn the_future_is_that_of_the_inner_service() {
    fn same<S: Service<ServiceRequest>>(_: &S)
    where
        vexilla_actix::VexillaService<S>:
            Service<ServiceRequest, Future = S::Future, Response = S::Response, Error = S::Error>,
    {
    }
    // Neither `Send` nor boxed.
    let calls = Cell::new(0);
    same(&actix_web::dev::fn_service(move |_: ServiceRequest| {
        calls.set(calls.get() + 1);
        let calls = calls.get();
        async move { Ok::<_, Error>(calls) }
    }));
}

#[actix_web::test]
async fn flags_go_to_another_thread() {
    async fn handler(flags: Flags) -> String {
        let read = std::thread::spawn(move || flags.bool(FLAG));
        read.join().unwrap().to_string()
    }
    let app = App::new().wrap(layer()).route("/", get().to(handler));
    assert_eq!(body!(app, "/", "7"), "true");
}

#[actix_web::test]
async fn a_layer_makes_the_overrides_of_a_request_and_middleware_sets_flags() {
    let preview = |request: &RequestView<'_>| {
        let value = request.header_str("x-plan")?;
        Some(Overrides::new().set(FLAG, value == "pro"))
    };
    let request = |plan| TestRequest::get().uri("/").insert_header(("x-plan", plan));
    for layer in [
        fixed(false).overrides(preview),
        fixed(false).overrides(preview).eager(),
    ] {
        let app = App::new().wrap(layer).route("/", get().to(read));
        let app = init_service(app).await;
        for (plan, value) in [("pro", "true"), ("free", "false")] {
            let response = call_service(&app, request(plan).to_request()).await;
            assert_eq!(read_body(response).await, value);
        }
    }

    async fn turn_on(
        request: ServiceRequest,
        next: Next<impl MessageBody>,
    ) -> Result<ServiceResponse<impl MessageBody>, Error> {
        let flags = flags_from(&request)?;
        let flags = flags.with_overrides(&Overrides::new().set(FLAG, true));
        set_flags(&request, flags);
        next.call(request).await
    }
    let app = App::new()
        .wrap(from_fn(turn_on))
        .wrap(fixed(false))
        .route("/", get().to(read));
    assert_eq!(body!(app, "/", "8"), "true");
    // A handler in a test needs no layer.
    let request = TestRequest::default().to_http_request();
    set_flags(
        &request,
        vexilla().flags(Context::new("7").with("user", "7")),
    );
    assert!(flags_from(&request).unwrap().bool(FLAG));
}

#[actix_web::test]
async fn the_path_is_the_one_that_was_sent_in_scopes() {
    async fn path(flags: Flags) -> String {
        format!("{:?}", flags.context().attribute("path"))
    }
    let nested = || scope("/here").service(scope("/and").route("/there", get().to(path)));
    let outside = App::new().wrap(fixed(true)).service(nested());
    let inside = App::new().service(scope("").wrap(fixed(true)).service(nested()));
    for answer in [
        body!(outside, "/here/and/there", "7"),
        body!(inside, "/here/and/there", "7"),
    ] {
        assert_eq!(answer, "Some(String(\"/here/and/there\"))");
    }
}
