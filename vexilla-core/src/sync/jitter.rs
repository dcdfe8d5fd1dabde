//! Durations drawn from a range, so that those who start together do not go on
//! together.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// A random number in [0, 1); good for drawing durations, not for secrets.
pub(crate) fn random() -> f64 {
    // 53 bits: as many as a float holds exactly.
    let bits = RandomState::new().hash_one(()) >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

/// Between `from` and `to` times the duration, by a random number in [0, 1); any
/// other number counts as the middle. What is too long for a [`Duration`] is
/// [`Duration::MAX`].
pub(crate) fn jittered(duration: Duration, from: f64, to: f64, random: f64) -> Duration {
    let random = if (0.0..1.0).contains(&random) {
        random
    } else {
        0.5
    };
    let seconds = duration.as_secs_f64() * (from + (to - from) * random);
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_drawn_from_the_whole_range() {
        let draw = |random| jittered(Duration::from_secs(30), 0.8, 1.2, random).as_secs_f64();
        for (random, expected) in [(0.0, 24.0), (0.25, 27.0), (0.5, 30.0), (0.999_999, 36.0)] {
            assert!((draw(random) - expected).abs() < 0.001, "{random}");
        }
    }

    #[test]
    fn no_duration_and_no_number_is_too_much() {
        for random in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1.0, 7.0] {
            let minute = Duration::from_secs(60);
            assert_eq!(jittered(minute, 0.8, 1.2, random), minute);
        }
        for random in [0.0, 0.5, 0.99, f64::NAN] {
            assert_eq!(jittered(Duration::ZERO, 0.8, 1.2, random), Duration::ZERO);
            assert!(jittered(Duration::MAX, 0.8, 1.2, random) >= Duration::MAX / 10 * 7);
        }
        assert_eq!(jittered(Duration::MAX, 0.8, 1.2, 0.5), Duration::MAX);
    }
}
