//! Constraints beyond S1's: of mixed kinds, a regular expression, CEL.
//!
//! Each flag is on for whom its constraints hold, without a rollout, and stands
//! among 200 others. All users that are measured match, so that every constraint
//! is looked at. There are 64 of them: the contexts of 1,024, with a list and a
//! map in each, would not fit into the processor's nearer caches, and what is
//! asked here is what constraints cost. (A request's context was made just now.)

use std::hint::black_box;

use regex::Regex;
use vexilla_core::context::Map;
use vexilla_core::flag::{Constraint, Segment};
use vexilla_core::{Context, Flags, Vexilla};

use crate::peers::Case;
use crate::peers::vexilla::{FLAGS, flag, on_for};
use crate::scenario::{self, FEW_USERS, Scenario, User};

/// The row of the `regex` crate by itself.
pub const REGEX: &str = "the `regex` crate alone";

const EACH: [(Scenario, &str); 3] = [
    (Scenario::Mixed, "mixed"),
    (Scenario::Regex, "regex"),
    (Scenario::Cel, "cel"),
];
const PLANS: usize = 50;
const PATTERN: &str = "^user-[0-9]+@[a-z]+[.]example[.](com|org)$";
const EXPRESSION: &str = r#"tier == "premium" && country in ["BR", "PT"] && age >= 18"#;

/// Flags with such constraints, and users for whom they hold.
pub struct Constraints {
    vexilla: Vexilla,
    flags: Vec<Flags>,
    emails: Vec<String>,
    regex: Regex,
}

fn mixed() -> Segment {
    let plans: Vec<_> = (0..PLANS).map(|n| format!("plan-{n}")).collect();
    Segment::new()
        .constraint(Constraint::new("plan", "IN", format!("{plans:?}")))
        .constraint(Constraint::new("age", "GTE", "18"))
        .constraint(Constraint::new("age", "LTE", "65"))
        .constraint(Constraint::new("groups", "CONTAINS", r#""beta""#))
        .constraint(Constraint::new("address.city", "EQ", r#""Recife""#))
}

fn email(user: &User) -> String {
    format!("{}@mail.example.org", user.key)
}

fn context(n: usize, user: &User) -> Context {
    let address = Map::from([
        ("city".to_owned(), "Recife".into()),
        ("state".to_owned(), "PE".into()),
    ]);
    Context::new(&user.key)
        .with("plan", format!("plan-{}", n % PLANS))
        .with("tier", &user.tier)
        .with("age", user.age)
        .with("country", &user.country)
        .with("groups", ["staff", "early", "beta"])
        .with("address", address)
        .with("email", email(user))
}

/// Changes to a context, each with the flags that it turns off.
fn mismatches() -> Vec<(Context, &'static [&'static str])> {
    let user = &scenario::users()[0];
    let with = |name: &str, value: vexilla_core::Value| context(0, user).with(name, value);
    let elsewhere = Map::from([("city".to_owned(), "Olinda".into())]);
    vec![
        (with("plan", "plan-50".into()), &["mixed"]),
        (with("age", 17.into()), &["mixed", "cel"]),
        (with("age", 66.into()), &["mixed"]),
        (with("groups", ["staff"].into()), &["mixed"]),
        (with("address", elsewhere.into()), &["mixed"]),
        (with("email", "user-1@mail.example.net".into()), &["regex"]),
        (with("country", "AR".into()), &["cel"]),
        (with("tier", "free".into()), &["cel"]),
    ]
}

impl Constraints {
    pub fn new(fillers: &[scenario::Flag], users: &[User]) -> Self {
        let constrained = |constraint: Constraint| Segment::new().constraint(constraint);
        let pattern = Constraint::new("email", "EREG", format!("{PATTERN:?}"));
        let flags = [
            on_for("mixed", mixed()).id(1001),
            on_for("regex", constrained(pattern)).id(1002),
            on_for("cel", constrained(Constraint::new("", "CEL", EXPRESSION))).id(1003),
        ];
        let flags = fillers.iter().map(flag).chain(flags);
        let vexilla = Vexilla::fixed(flags.collect::<Vec<_>>());
        let users = &users[..FEW_USERS];
        let contexts = users.iter().enumerate().map(|(n, user)| context(n, user));
        Self {
            flags: contexts.map(|context| vexilla.flags(context)).collect(),
            vexilla,
            emails: users.iter().map(email).collect(),
            regex: Regex::new(PATTERN).expect("a valid pattern"),
        }
    }

    /// Whether each flag is on for all users, and off where one constraint fails.
    pub fn check(&self) -> Result<(), String> {
        for (_, key) in EACH {
            if !self
                .flags
                .iter()
                .all(|flags| flags.try_bool(key) == Ok(Some(true)))
            {
                return Err(format!("{key} is not on for all users"));
            }
            for (context, off) in mismatches() {
                let on = self.vexilla.flags(context.clone()).try_bool(key);
                let right = if off.contains(&key) { None } else { Some(true) };
                if on != Ok(right) {
                    return Err(format!("{key} is {on:?} for {context:?}"));
                }
            }
        }
        Ok(())
    }

    pub fn cases(&self) -> Vec<Case<'_>> {
        let mut cases = vec![Case::new(REGEX, Scenario::Regex, &self.emails, |email| {
            usize::from(self.regex.is_match(black_box(email)))
        })];
        cases.extend(EACH.map(|(scenario, key)| {
            Case::new(FLAGS, scenario, &self.flags, move |flags| {
                usize::from(flags.bool(black_box(key)))
            })
        }));
        cases
    }
}
