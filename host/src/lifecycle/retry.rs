//! The one retry policy. The rooms make one attempt and say whether an error may pass; how often and how long to try again is
//! decided here. Statements that change names never come here.

use std::time::Duration;

/// How often something is tried again, and how long the pause before is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    attempts: u32,
    first_pause: Duration,
    longest_pause: Duration,
}

/// About two minutes in all: a server that restarts is back by then.
pub(super) const SERVER: Retry = Retry {
    attempts: 10,
    first_pause: Duration::from_millis(250),
    longest_pause: Duration::from_secs(30),
};

/// A pipe that follows waits for its servers as long as it takes.
pub(super) const FOLLOW: Retry = Retry {
    attempts: u32::MAX,
    first_pause: Duration::from_millis(250),
    longest_pause: Duration::from_secs(15),
};

impl Retry {
    /// Does `attempt` until it succeeds, its error can't pass, or the attempts are used up; then its last error.
    pub(super) async fn run<T, E: std::fmt::Display, F: Future<Output = Result<T, E>>>(
        self,
        what: &str,
        is_transient: impl Fn(&E) -> bool,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, E> {
        for number in 1.. {
            match attempt().await {
                Err(error) if is_transient(&error) && number < self.attempts => {
                    let pause = self.pause(number);
                    tracing::warn!(what, number, ?pause, %error, "failed, trying again");
                    tokio::time::sleep(pause).await;
                }
                done => return done,
            }
        }
        unreachable!("the range has no end")
    }

    /// The pause after the attempt of this number, from 1: doubled each time.
    pub(super) fn pause(self, number: u32) -> Duration {
        self.first_pause
            .saturating_mul(1 << (number - 1).min(16))
            .min(self.longest_pause)
    }

    /// Whether another attempt may follow the one of this number.
    pub(super) fn again(self, number: u32) -> bool {
        number < self.attempts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_tries_again_only_what_may_pass() {
        for (transient, expected) in [(true, 10), (false, 1)] {
            let mut attempts = 0;
            let attempt = || {
                attempts += 1;
                std::future::ready(Err("no"))
            };
            let result: Result<(), &str> = SERVER.run("test", |_| transient, attempt).await;
            assert_eq!((result, attempts), (Err("no"), expected));
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<u64> = (1..=10)
            .map(|n| SERVER.pause(n).as_millis() as u64)
            .collect();
        assert_eq!(
            pauses,
            [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]
        );
    }
}
