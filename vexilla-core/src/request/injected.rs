//! The attributes that a Flagr server can add to every context.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::RequestView;
use crate::context::Context;

/// The attributes that Flagr adds to every context where its
/// `FLAGR_INJECTED_CONTEXT_ENABLED` is on; there, a local evaluator must add
/// the same (Flagr 1.2, `pkg/handler/builtin_context.go`).
///
/// - `@ts`, `@ts_hour`, `@ts_weekday`, `@ts_month`: seconds since 1970, the
///   hour from 0, the weekday from 0 for Sunday, the month from 1; all in UTC;
/// - `@http_<header>` for the headers named, in small letters with `_` for `-`;
///   several values are joined by `, `. A header takes the place of an attribute
///   of that name; without the header the attribute stays.
///
/// Two headers can give one attribute: a client can send `x-auth_role` beside
/// the `x-auth-role` of a proxy. Flagr takes either, by chance. Here the name
/// with dashes wins (the first in the order of bytes), and the first such
/// request of the rules is logged.
#[derive(Clone)]
pub struct InjectedContext {
    headers: Vec<String>,
    prefixes: Vec<String>,
    now: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    /// Two headers that give one attribute were logged.
    logged: Arc<AtomicBool>,
}

/// How much of a header's name is logged, in characters.
const LOGGED_NAME: usize = 64;

impl Default for InjectedContext {
    fn default() -> Self {
        Self::new()
    }
}

impl InjectedContext {
    /// The time alone.
    #[must_use]
    pub fn new() -> Self {
        Self {
            headers: Vec::new(),
            prefixes: Vec::new(),
            now: Arc::new(SystemTime::now),
            logged: Arc::default(),
        }
    }

    /// Adds the headers of this name, in whatever case, as
    /// `FLAGR_INJECTED_CONTEXT_HTTP_HEADERS` does.
    #[must_use]
    pub fn header(mut self, name: &str) -> Self {
        let name = name.trim().to_ascii_lowercase();
        if !name.is_empty() {
            self.headers.push(name);
        }
        self
    }

    /// Adds the headers whose name starts with this, in whatever case, as
    /// `FLAGR_INJECTED_CONTEXT_HTTP_HEADER_PREFIXES` does.
    #[must_use]
    pub fn header_prefix(mut self, prefix: &str) -> Self {
        let prefix = prefix.trim().to_ascii_lowercase();
        if !prefix.is_empty() {
            self.prefixes.push(prefix);
        }
        self
    }

    /// Takes the time from elsewhere, for tests.
    #[must_use]
    pub fn clock(mut self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.now = Arc::new(now);
        self
    }

    /// Adds the attributes to a context; without a request, those of the time.
    pub fn add(&self, request: Option<&RequestView<'_>>, context: &mut Context) {
        let time = UtcTime::of((self.now)());
        context.set("@ts", time.seconds);
        context.set("@ts_hour", time.hour);
        context.set("@ts_weekday", time.weekday);
        context.set("@ts_month", time.month);
        if let Some(request) = request {
            self.add_headers(request, context);
        }
    }

    fn add_headers(&self, request: &RequestView<'_>, context: &mut Context) {
        let wanted = request.header_names().filter(|name| {
            // Go keeps the host apart from the headers: no prefix reaches it.
            let by_prefix = |prefix: &String| *name != "host" && name.starts_with(&**prefix);
            self.headers.iter().any(|header| header == name) || self.prefixes.iter().any(by_prefix)
        });
        let found = wanted.filter_map(|name| {
            let values: Vec<_> = request.headers(name).map(String::from_utf8_lossy).collect();
            let is_there = values.len() > 1 || values.iter().any(|value| !value.is_empty());
            let attribute = format!("@http_{}", name.replace('-', "_"));
            is_there.then_some((attribute, name, values))
        });
        let mut found: Vec<_> = found.collect();
        found.sort_unstable_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
        // Of those that give one attribute, the first has dashes where others
        // do not.
        found.dedup_by(|later, first| {
            let is_same = later.0 == first.0;
            if is_same {
                self.log_ignored(later.1, first.1);
            }
            is_same
        });
        for (attribute, _, values) in found {
            context.set(&attribute, values.join(", "));
        }
    }

    /// Logs, once for all clones, that a header was ignored: names come from
    /// requests, so that there could be any number of them.
    #[cold]
    fn log_ignored(&self, ignored: &str, taken: &str) {
        if self.logged.swap(true, Ordering::Relaxed) {
            return;
        }
        let cut = |name: &str| name.chars().take(LOGGED_NAME).collect::<String>();
        tracing::warn!(
            ignored = cut(ignored),
            taken = cut(taken),
            "a request has two headers that give the same injected attribute; others are not logged"
        );
    }
}

impl fmt::Debug for InjectedContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InjectedContext")
            .field("headers", &self.headers)
            .field("prefixes", &self.prefixes)
            .finish_non_exhaustive()
    }
}

/// The parts of a time that Flagr adds.
#[derive(Debug, PartialEq)]
struct UtcTime {
    seconds: i64,
    hour: i64,
    weekday: i64,
    month: i64,
}

impl UtcTime {
    fn of(time: SystemTime) -> Self {
        let seconds = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            Err(before) => {
                let before = before.duration();
                let whole = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
                -whole - i64::from(before.subsec_nanos() > 0)
            }
        };
        let days = seconds.div_euclid(86_400);
        Self {
            seconds,
            hour: seconds.rem_euclid(86_400) / 3_600,
            weekday: (days + 4).rem_euclid(7), // 1970-01-01 was a Thursday
            month: month(days),
        }
    }
}

/// The month of a day, counted from 1970-01-01, in the Gregorian calendar.
fn month(days: i64) -> i64 {
    // Years of this count begin in March, so that leap days end them.
    let days = (days + 719_468).rem_euclid(146_097); // in a cycle of 400 years
    let year = (days - days / 1_460 + days / 36_524 - days / 146_096) / 365;
    let day = days - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day + 2) / 153;
    (from_march + 2) % 12 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_calendar_is_gregorian() {
        let at = |seconds: u64| UtcTime::of(UNIX_EPOCH + Duration::from_secs(seconds));
        for (seconds, hour, weekday, month) in [
            (0, 0, 4, 1),
            (951_782_399, 23, 1, 2),    // 2000-02-28T23:59:59Z
            (951_782_400, 0, 2, 2),     // 2000-02-29
            (951_868_800, 0, 3, 3),     // 2000-03-01
            (1_709_164_800, 0, 4, 2),   // 2024-02-29
            (1_735_689_599, 23, 2, 12), // 2024-12-31T23:59:59Z
            (4_107_542_400, 0, 1, 3),   // 2100-03-01: no leap year
        ] {
            let seconds_signed = i64::try_from(seconds).unwrap();
            assert_eq!(
                at(seconds),
                UtcTime {
                    seconds: seconds_signed,
                    hour,
                    weekday,
                    month
                }
            );
        }
        let before = UtcTime::of(UNIX_EPOCH - Duration::from_millis(1));
        assert_eq!((before.seconds, before.hour, before.month), (-1, 23, 12));
    }
}
