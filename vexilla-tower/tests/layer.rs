//! The layer against the contract of tower: readiness, errors, clones, and
//! what a request carries afterwards.

#![expect(clippy::expect_used, reason = "a test may fail by panicking")]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as TaskContext, Poll};

use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock::{self, Handle, Mock, Spawn};
use tower_test::{assert_request_eq, mock::SendResponse};
use vexilla_tower::flag::Flag;
use vexilla_tower::request::ContextRules;
use vexilla_tower::{
    Context, EmptyEntity, Flags, FlagsFromError, Vexilla, VexillaLayer, VexillaService, flags_from,
};

type Inner = Mock<Request<()>, Response<()>>;
type Driver = Handle<Request<()>, Response<()>>;

const FLAG: &str = "new-feature";

fn vexilla(value: bool) -> Vexilla {
    Vexilla::fixed([Flag::boolean(FLAG, value)])
}

/// The layer around a service that is driven by hand.
fn around_mock(layer: &VexillaLayer) -> (Spawn<VexillaService<Inner>>, Driver) {
    mock::spawn_layer(layer)
}

/// The request that the inner service gets.
async fn received(handle: &mut Driver) -> (Request<()>, SendResponse<Response<()>>) {
    handle.next_request().await.expect("a request")
}

/// Rules whose closure counts how often a context is made.
fn counting() -> (ContextRules, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let rules = ContextRules::new().with(move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    (rules, count)
}

/// Gives back the request that it gets.
#[derive(Clone)]
struct Echo;

impl<B> Service<Request<B>> for Echo {
    type Response = Request<B>;
    type Error = Infallible;
    type Future = Ready<Result<Request<B>, Infallible>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(request))
    }
}

/// The request as it leaves the layer.
fn through<B>(layer: &VexillaLayer, request: Request<B>) -> Request<B> {
    let Ok(request) = layer.layer(Echo).call(request).into_inner();
    request
}

#[tokio::test]
async fn a_service_that_is_not_ready_is_not_ready_behind_the_layer() {
    let (mut service, mut handle) = around_mock(&VexillaLayer::new(vexilla(true)));
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.is_woken());
    assert!(service.poll_ready().is_ready());
}

#[tokio::test]
async fn an_error_of_readiness_is_that_of_the_inner_service() {
    let (mut service, mut handle) = around_mock(&VexillaLayer::new(vexilla(true)));
    handle.send_error("worn out");
    let Poll::Ready(Err(error)) = service.poll_ready() else {
        panic!("no error");
    };
    assert_eq!(error.to_string(), "worn out");
}

#[tokio::test]
async fn an_error_of_a_call_is_that_of_the_inner_service() {
    #[derive(Debug, PartialEq)]
    struct Refused(Box<u8>);

    let refused = Box::new(7);
    let address: *const u8 = &*refused;
    let mut refused = Some(Refused(refused));
    let inner =
        service_fn(move |_: Request<()>| ready(Err::<(), _>(refused.take().expect("one call"))));
    let service = VexillaLayer::new(vexilla(true)).layer(inner);
    let Refused(same) = service.oneshot(Request::new(())).await.unwrap_err();
    assert!(std::ptr::eq(&raw const *same, address));

    let (mut service, mut handle) = around_mock(&VexillaLayer::new(vexilla(true)));
    assert!(service.poll_ready().is_ready());
    let answer = service.call(Request::new(()));
    received(&mut handle).await.1.send_error("no luck");
    assert_eq!(answer.await.unwrap_err().to_string(), "no luck");
}

#[tokio::test]
async fn a_clone_is_not_ready_because_the_original_was() {
    /// Answers whether it was made ready before, which a clone is not.
    #[derive(Default)]
    struct Readied(bool);

    impl Clone for Readied {
        fn clone(&self) -> Self {
            Self(false)
        }
    }

    impl Service<Request<()>> for Readied {
        type Response = bool;
        type Error = Infallible;
        type Future = Ready<Result<bool, Infallible>>;

        fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
            self.0 = true;
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            ready(Ok(std::mem::take(&mut self.0)))
        }
    }

    let mut original = VexillaLayer::new(vexilla(true)).layer(Readied::default());
    original.ready().await.unwrap();
    let mut clone = original.clone();
    assert!(!clone.call(Request::new(())).await.unwrap());
    assert!(original.call(Request::new(())).await.unwrap());
    assert!(!original.call(Request::new(())).await.unwrap());
    clone.ready().await.unwrap();
    assert!(clone.call(Request::new(())).await.unwrap());
}

#[tokio::test]
async fn it_can_be_called_twice() {
    let (mut service, mut handle) = around_mock(&VexillaLayer::new(vexilla(true)));
    handle.allow(2);
    let mut answers = Vec::new();
    for user in ["1", "2"] {
        assert!(service.poll_ready().is_ready());
        let request = Request::builder().header("x-user-id", user).body(());
        answers.push(service.call(request.unwrap()));
    }
    for user in ["1", "2"] {
        let (request, answer) = received(&mut handle).await;
        let flags = flags_from(&request).unwrap();
        assert_eq!(flags.context().entity_id(), user);
        answer.send_response(Response::builder().status(200).body(()).unwrap());
    }
    for answer in answers {
        assert_eq!(answer.await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn request_and_response_pass_as_they_are() {
    let layer = VexillaLayer::new(vexilla(true));
    let (mut service, mut handle) = mock::spawn_with::<String, &str, _, _>(|inner| {
        let to_inner = service_fn(move |request: Request<String>| {
            let mut inner = inner.clone();
            async move {
                inner.ready().await?;
                inner.call(request.into_body()).await
            }
        });
        layer.layer(to_inner)
    });
    assert!(service.poll_ready().is_ready());
    let answer = tokio::spawn(service.call(Request::new("the question".to_owned())));
    assert_request_eq!(handle, "the question".to_owned()).send_response("the answer");
    assert_eq!(answer.await.unwrap().unwrap(), "the answer");
}

#[test]
fn a_request_that_reads_no_flag_has_one_extension_and_no_context() {
    let (rules, contexts) = counting();
    let layer = VexillaLayer::new(vexilla(true)).context(rules);
    let request = through(&layer, Request::new(()));
    assert_eq!(request.extensions().len(), 1);
    assert!(request.extensions().get::<Flags>().is_none());
    drop(request);
    assert_eq!(contexts.load(Ordering::Relaxed), 0);
}

#[test]
fn flags_are_made_once_however_often_they_are_read() {
    let (rules, contexts) = counting();
    let layer = VexillaLayer::new(vexilla(true)).context(rules);
    let mut request = through(&layer, Request::new(()));
    assert!(flags_from(&request).unwrap().bool(FLAG));
    // What the rules would read now no longer matters.
    let headers = request.headers_mut();
    headers.insert("x-user-id", "late".parse().unwrap());
    let again = flags_from(&request).unwrap();
    assert_eq!(again.context().entity_id(), "");
    let (parts, ()) = request.into_parts();
    assert!(flags_from(&parts).unwrap().bool(FLAG));
    assert_eq!(contexts.load(Ordering::Relaxed), 1);
    assert_eq!(parts.extensions.len(), 1);
}

#[test]
fn flags_that_change_after_the_first_look_do_not_change_for_the_request() {
    let vexilla = vexilla(true);
    let layer = VexillaLayer::new(vexilla.clone());
    let [read, unread] = [(); 2].map(|()| through(&layer, Request::new(())));
    let before = flags_from(&read).unwrap();
    vexilla.replace([Flag::boolean(FLAG, false)]);
    assert!(before.bool(FLAG));
    assert!(flags_from(&read).unwrap().bool(FLAG));
    let first_look = flags_from(&unread).unwrap();
    assert!(!first_look.bool(FLAG), "pinned before anybody looked");
    vexilla.replace([Flag::boolean(FLAG, true)]);
    assert!(!flags_from(&unread).unwrap().bool(FLAG));
}

#[test]
fn an_anonymous_visitor_is_the_same_at_each_read() {
    let vexilla = vexilla(true).with_empty_entity(EmptyEntity::RandomOnce);
    let layer = VexillaLayer::new(vexilla);
    let [first, second] = [(); 2].map(|()| through(&layer, Request::new(())));
    let id = |request: &Request<()>| {
        let flags = flags_from(request).unwrap();
        flags.context().entity_id().to_owned()
    };
    assert_ne!(id(&first), "");
    assert_eq!(id(&first), id(&first));
    assert_ne!(id(&first), id(&second));
}

#[test]
fn eager_leaves_flags_in_the_extensions() {
    let (rules, contexts) = counting();
    let layer = VexillaLayer::new(vexilla(true)).context(rules).eager();
    let request = Request::builder().header("x-user-id", "7").body(());
    let request = through(&layer, request.unwrap());
    assert_eq!(contexts.load(Ordering::Relaxed), 1);
    let flags = request.extensions().get::<Flags>().unwrap();
    assert!(flags.bool(FLAG));
    assert_eq!(flags.context().entity_id(), "7");
    let same = flags_from(&request).unwrap();
    assert!(std::ptr::eq(
        same.context().entity_id(),
        flags.context().entity_id()
    ));
    assert_eq!(contexts.load(Ordering::Relaxed), 1);
}

#[test]
fn extensions_can_be_cloned_with_a_request() {
    let (rules, contexts) = counting();
    let request = through(
        &VexillaLayer::new(vexilla(true)).context(rules),
        Request::new(()),
    );
    let unread = request.clone();
    let flags = flags_from(&request).unwrap();
    let read = request.clone();
    drop(request);
    assert!(std::ptr::eq(
        flags_from(&read).unwrap().context().entity_id(),
        flags.context().entity_id()
    ));
    assert_eq!(contexts.load(Ordering::Relaxed), 1);
    assert!(flags_from(&unread).unwrap().bool(FLAG));
    assert_eq!(contexts.load(Ordering::Relaxed), 2);
}

#[test]
fn of_two_layers_the_inner_one_wins() {
    let inner = VexillaLayer::new(vexilla(true)).layer(Echo);
    for outer in [
        VexillaLayer::new(vexilla(false)),
        VexillaLayer::new(vexilla(false)).eager(),
    ] {
        let Ok(request) = outer
            .layer(inner.clone())
            .call(Request::new(()))
            .into_inner();
        assert!(flags_from(&request).unwrap().bool(FLAG));
    }
}

#[test]
fn without_the_layer_the_error_names_the_fix() {
    let request = Request::new(());
    let error = flags_from(&request).unwrap_err();
    assert_eq!(error, FlagsFromError::MissingLayer);
    assert!(error.to_string().contains("VexillaLayer::new"));
    assert_eq!(flags_from(&request.into_parts().0).unwrap_err(), error);
}

#[test]
fn any_body_passes_untouched() {
    let layer = VexillaLayer::new(vexilla(true));

    // Neither `Send` nor `Sync`, …
    let body = Rc::new(String::from("a body"));
    let passed = through(&layer, Request::new(Rc::clone(&body)));
    assert!(Rc::ptr_eq(passed.body(), &body));
    assert!(flags_from(&passed).unwrap().bool(FLAG));

    // … borrowed and exclusive, …
    let mut buffer = *b"borrowed";
    let address = buffer.as_ptr();
    let passed = through(&layer, Request::new(&mut buffer[..]));
    assert!(std::ptr::eq(passed.body().as_ptr(), address));

    // … or a closure that can be called but once.
    let passed = through(
        &layer,
        Request::new(Box::new(|| 7_u8) as Box<dyn FnOnce() -> u8>),
    );
    assert_eq!(passed.into_body()(), 7);
}

#[test]
fn response_error_and_future_are_those_of_the_inner_service() {
    fn same<S, B>(_: &S)
    where
        S: Service<Request<B>>,
        VexillaService<S>:
            Service<Request<B>, Future = S::Future, Response = S::Response, Error = S::Error>,
    {
    }
    same::<_, ()>(&Echo);
    same::<_, Rc<str>>(&Echo);
    same::<_, ()>(&mock::pair::<Request<()>, Response<()>>().0);
    // A future that cannot leave its thread.
    same::<_, ()>(&service_fn(|_: Request<()>| {
        let local = Rc::new(());
        async move {
            std::future::ready(()).await;
            Ok::<_, Infallible>(Rc::strong_count(&local))
        }
    }));
}

#[tokio::test]
async fn flags_leave_the_request_for_a_task() {
    let layer = VexillaLayer::new(vexilla(true));
    let flags = flags_from(&through(&layer, Request::new(()))).unwrap();
    let other = flags.for_context(Context::new("someone else"));
    let read = tokio::spawn(async move { (flags.bool(FLAG), other.bool(FLAG)) });
    assert_eq!(read.await.unwrap(), (true, true));
}
