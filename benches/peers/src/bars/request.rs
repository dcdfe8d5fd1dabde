//! What a request pays: a context of a key and four strings, then S1.
//!
//! The strings are what headers hold, text all of them, `age` included. Vexilla
//! copies them into a context that can leave the request, or borrows them.

use std::hint::black_box;

use vexilla_core::context::ValueRef;
use vexilla_core::{Context, Vexilla};

use crate::peers::Case;
use crate::peers::vexilla::{self, FLAGS, SNAPSHOT};
use crate::scenario::{Flag, S1, Scenario, User};

/// Requests as they come in.
pub struct Requests {
    vexilla: Vexilla,
    requests: Vec<Request>,
}

struct Request {
    user: String,
    headers: [(&'static str, String); 4],
}

impl Request {
    fn new(user: &User) -> Self {
        Self {
            user: user.key.clone(),
            headers: [
                ("tier", user.tier.clone()),
                ("age", user.age.to_string()),
                ("country", user.country.clone()),
                ("version", user.version.clone()),
            ],
        }
    }

    #[inline]
    fn owned(&self) -> Context {
        let mut context = Context::new(&self.user);
        for (name, value) in &self.headers {
            context.set(name, value);
        }
        context
    }

    #[inline]
    fn borrowed(&self) -> [(&str, ValueRef<'_>); 4] {
        self.headers
            .each_ref()
            .map(|(name, value)| (*name, ValueRef::String(value)))
    }
}

impl Requests {
    pub fn new(flags: &[Flag], users: &[User]) -> Self {
        Self {
            vexilla: Vexilla::fixed(flags.iter().map(vexilla::flag).collect::<Vec<_>>()),
            requests: users.iter().map(Request::new).collect(),
        }
    }

    fn owned(&self, request: &Request) -> bool {
        self.vexilla.flags(request.owned()).bool(black_box(S1))
    }

    /// Whether both forms give what `right` does for each user.
    pub fn check(&self, right: impl Fn(usize) -> bool) -> Result<(), String> {
        let snapshot = self.vexilla.snapshot();
        for (n, request) in self.requests.iter().enumerate() {
            let borrowed = vexilla::is_on(&snapshot, S1, &request.user, &request.borrowed());
            if (self.owned(request), borrowed) != (right(n), right(n)) {
                return Err(format!("a wrong answer for {}", request.user));
            }
        }
        Ok(())
    }

    pub fn cases(&self) -> [Case<'_>; 2] {
        let snapshot = self.vexilla.snapshot();
        [
            Case::new(FLAGS, Scenario::OwnedAndS1, &self.requests, |request| {
                usize::from(self.owned(request))
            }),
            Case::new(
                SNAPSHOT,
                Scenario::BorrowedAndS1,
                &self.requests,
                move |request| {
                    let attributes = black_box(request.borrowed());
                    let on = vexilla::is_on(&snapshot, black_box(S1), &request.user, &attributes);
                    usize::from(on)
                },
            ),
        ]
    }
}
