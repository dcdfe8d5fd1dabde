//! What every system evaluates: flags, users, and which answers are right.

use crate::peers::System;

/// A string constraint that matches and a 50 % rollout by user key.
pub const S1: &str = "s1";
/// The constraint alone.
pub const SIMPLE: &str = "simple";
/// A disabled flag, else like [`S1`].
pub const OFF: &str = "off";
/// A constraint that does not match; the fillers are the same.
pub const ELSEWHERE: &str = "elsewhere";
/// No flag has this key.
pub const UNKNOWN: &str = "unknown";

const FILLERS: usize = 200;
const USERS: usize = 1024;
/// The users that all flags are evaluated for.
pub const FEW_USERS: usize = 64;

/// A boolean flag: on for a share of the users in one country, off for others.
pub struct Flag {
    /// From 1 on; some systems salt rollouts with it.
    pub id: u64,
    pub key: String,
    pub enabled: bool,
    pub country: &'static str,
    /// How many percent of the users are in.
    pub percent: u32,
}

/// A user: a key and four attributes.
pub struct User {
    pub key: String,
    pub country: String,
    pub tier: String,
    pub age: f64,
    pub version: String,
}

/// What is measured: the columns of the first table, then what only the bars name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    Off,
    Unknown,
    Simple,
    S1,
    /// A context of four attributes is made, then S1.
    ContextAndS1,
    /// How the outcome of S1 came about.
    Explanation,
    /// Every flag once.
    All,
    /// From the text of 204 flags, in the system's own form, to what can answer.
    ReadAndCompile,
    /// A context that borrows a key and four strings, then S1.
    BorrowedAndS1,
    /// A context that owns a key and four strings, then S1.
    OwnedAndS1,
    /// Five constraints of mixed kinds.
    Mixed,
    Regex,
    Cel,
    /// S1 by one key, while so many flags are held.
    Held(usize),
    /// S1 by the keys of all flags that are held, in random order.
    HeldAtRandom(usize),
}

impl Scenario {
    pub const COLUMNS: [Self; 8] = [
        Self::Off,
        Self::Unknown,
        Self::Simple,
        Self::S1,
        Self::ContextAndS1,
        Self::Explanation,
        Self::All,
        Self::ReadAndCompile,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Unknown => "unknown",
            Self::Simple => "simple",
            Self::S1 => "S1",
            Self::ContextAndS1 => "context + S1",
            Self::Explanation => "explanation of S1",
            Self::All => "all 204 flags",
            Self::ReadAndCompile => "read + compile 204 flags",
            Self::BorrowedAndS1 => "borrowed context of four strings + S1",
            Self::OwnedAndS1 => "owned context from four strings + S1",
            Self::Mixed => "five mixed constraints",
            Self::Regex => "a regular expression",
            Self::Cel => "CEL of three clauses",
            Self::Held(_) => "S1 in another number of flags",
            Self::HeldAtRandom(_) => "S1 of random flags",
        }
    }
}

pub fn flags() -> Vec<Flag> {
    let target = |key: &str, enabled, country, percent| (key.to_owned(), enabled, country, percent);
    let targets = [
        target(S1, true, "BR", 50),
        target(SIMPLE, true, "BR", 100),
        target(OFF, false, "BR", 50),
        target(ELSEWHERE, true, "AR", 50),
    ];
    let fillers = (0..FILLERS).map(|n| target(&format!("filler-{n}"), true, "AR", 50));
    targets
        .into_iter()
        .chain(fillers)
        .zip(1..)
        .map(|((key, enabled, country, percent), id)| Flag {
            id,
            key,
            enabled,
            country,
            percent,
        })
        .collect()
}

pub fn users() -> Vec<User> {
    (0..USERS)
        .map(|n| User {
            key: format!("user-{n}"),
            country: "BR".to_owned(),
            tier: "premium".to_owned(),
            age: 31.0,
            version: "2.3.4".to_owned(),
        })
        .collect()
}

/// Whether a system answers as the scenario says.
pub fn check(system: &dyn System, flags: &[Flag], users: &[User]) -> Result<(), String> {
    let on = |key: &str| users.iter().filter(|user| system.answer(key, user)).count();
    for flag in flags {
        let right = match (flag.enabled && flag.country == "BR", flag.percent) {
            (false, _) => 0..=0,
            (true, 100) => users.len()..=users.len(),
            // Four standard deviations around the half.
            (true, _) => users.len() * 7 / 16..=users.len() * 9 / 16,
        };
        let on = on(&flag.key);
        if !right.contains(&on) {
            return Err(format!("{} is on for {on} users, not {right:?}", flag.key));
        }
    }
    match on(UNKNOWN) {
        0 => Ok(()),
        on => Err(format!("a flag that does not exist is on for {on} users")),
    }
}

/// Whether two systems give the same answers.
pub fn check_same(
    one: &dyn System,
    other: &dyn System,
    flags: &[Flag],
    users: &[User],
) -> Result<(), String> {
    let differs = |flag: &&Flag| {
        let answer = |system: &dyn System, user| system.answer(&flag.key, user);
        users
            .iter()
            .any(|user| answer(one, user) != answer(other, user))
    };
    match flags.iter().find(differs) {
        None => Ok(()),
        Some(flag) => Err(format!("they differ on {}", flag.key)),
    }
}
