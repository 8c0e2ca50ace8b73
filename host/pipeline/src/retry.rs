use std::time::Duration;

use crate::{Backoff, SourceError};

/// How often, and after which pauses, something unavailable is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Tries in all, the first one included; at least 1.
    pub attempts: u32,
    /// The pause after the first failure. It doubles with each further one.
    pub base: Duration,
    /// The longest pause, also where the remote asks for a longer one.
    pub max: Duration,
    /// The seed of the [jitter](Backoff::with_jitter); `None` for pauses that do not vary.
    pub jitter: Option<u64>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            base: Duration::from_millis(200),
            max: Duration::from_secs(30),
            jitter: None,
        }
    }
}

impl RetryPolicy {
    /// A given number of tries, with everything else as it is by default.
    pub fn new(attempts: u32) -> Self {
        Self {
            attempts,
            ..Self::default()
        }
    }

    /// Sets the first and the longest pause.
    #[must_use]
    pub fn with_pauses(self, base: Duration, max: Duration) -> Self {
        Self { base, max, ..self }
    }

    /// Sets the seed of the jitter.
    #[must_use]
    pub fn with_jitter(self, seed: u64) -> Self {
        Self {
            jitter: Some(seed),
            ..self
        }
    }
}

/// Counts the failures of one piece of work.
#[derive(Debug)]
pub(crate) struct Retries {
    policy: RetryPolicy,
    backoff: Backoff,
}

impl Retries {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        let backoff = Backoff::new(policy.base, policy.max);
        Self {
            backoff: match policy.jitter {
                Some(seed) => backoff.with_jitter(seed),
                None => backoff,
            },
            policy,
        }
    }

    /// Failures so far.
    pub(crate) fn failures(&self) -> u32 {
        self.backoff.failures()
    }

    /// The pause before the next try, or the error back when there is to be none.
    ///
    /// Only [`SourceError::Unavailable`] is worth another try. What the remote asks for (`Retry-After`)
    /// wins over a shorter pause, never over the policy's longest.
    pub(crate) fn pause_after(&mut self, error: SourceError) -> Result<(Duration, String), SourceError> {
        let SourceError::Unavailable { message, retry_after } = error else {
            return Err(error);
        };
        let pause = self.backoff.next_pause();
        if self.failures() >= self.policy.attempts {
            return Err(SourceError::Unavailable {
                message: format!("{message} (gave up after {} attempts)", self.failures()),
                retry_after,
            });
        }
        let pause = pause.max(retry_after.unwrap_or_default());
        Ok((pause.min(self.policy.max), message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unavailable(retry_after: Option<u64>) -> SourceError {
        SourceError::Unavailable {
            message: "503".into(),
            retry_after: retry_after.map(Duration::from_millis),
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_then_the_error_comes_back() {
        let policy = RetryPolicy::new(5).with_pauses(Duration::from_millis(200), Duration::from_millis(700));
        let mut retries = Retries::new(policy);
        let mut pauses = vec![];
        let error = loop {
            match retries.pause_after(unavailable(None)) {
                Ok((pause, _)) => pauses.push(pause.as_millis()),
                Err(error) => break error,
            }
        };
        assert_eq!(pauses, [200, 400, 700, 700]);
        assert_eq!(error.to_string(), "503 (gave up after 5 attempts)");
    }

    #[test]
    fn jitter_never_undercuts_what_the_remote_asks_for() {
        for seed in 0..100 {
            let mut retries = Retries::new(RetryPolicy::new(9).with_jitter(seed));
            let own = retries.pause_after(unavailable(None)).unwrap().0;
            assert!((100..=200).contains(&own.as_millis()), "{own:?}");
            let asked = retries.pause_after(unavailable(Some(1_500))).unwrap().0;
            assert_eq!(asked, Duration::from_millis(1_500));
        }
    }

    #[test]
    fn the_remote_may_ask_for_more_but_not_for_ever() {
        let mut retries = Retries::new(RetryPolicy::default());
        let asked = retries.pause_after(unavailable(Some(1_500))).unwrap().0;
        assert_eq!(asked, Duration::from_millis(1_500));
        let forever = retries.pause_after(unavailable(Some(u64::MAX))).unwrap().0;
        assert_eq!(forever, Duration::from_secs(30));
    }

    #[test]
    fn other_errors_are_not_tried_again() {
        let mut retries = Retries::new(RetryPolicy::default());
        let error = retries
            .pause_after(SourceError::Malformed("cut".into()))
            .unwrap_err();
        assert!(matches!(error, SourceError::Malformed(_)));
    }
}
