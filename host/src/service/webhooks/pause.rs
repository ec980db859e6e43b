//! When a delivery that was not taken is tried again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use ring::rand::{SystemRandom, generate};

/// The pause after the first try; each one doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(3600);
/// How long an event is tried.
const A_DAY: SignedDuration = SignedDuration::from_hours(24);

/// When it is tried next, after so many attempts; none: it is given up.
pub(super) fn next(created: Timestamp, now: Timestamp, attempts: u32) -> Option<Timestamp> {
    if now.duration_since(created) >= A_DAY {
        return None;
    }
    let pause = after(attempts).mul_f64(jitter());
    // Nothing is as far off as the end of time.
    now.checked_add(pause).ok()
}

fn after(attempts: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
    FIRST.saturating_mul(doubled).min(LONGEST)
}

/// From a half to one: those that have failed together don't come back together.
fn jitter() -> f64 {
    let random = generate::<[u8; 1]>(&SystemRandom::new());
    let random = random.map_or(0, |random| random.expose()[0]);
    0.5 + f64::from(random) / 510.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour() {
        let seconds = |attempts| after(attempts).as_secs();
        assert_eq!(
            [1, 2, 3, 12, 13, 500].map(seconds),
            [1, 2, 4, 2048, 3600, 3600]
        );
        for _ in 0..100 {
            assert!((0.5..=1.0).contains(&jitter()));
        }
    }

    #[test]
    fn an_event_is_given_up_after_a_day() {
        let created = Timestamp::UNIX_EPOCH;
        let (mut now, mut attempts) = (created, 0);
        loop {
            attempts += 1;
            match next(created, now, attempts) {
                Some(next) => now = next,
                None => break,
            }
        }
        assert!(now.duration_since(created) >= A_DAY);
        assert!(now.duration_since(created) < SignedDuration::from_hours(25));
        assert!((30..70).contains(&attempts), "{attempts}");
    }
}
