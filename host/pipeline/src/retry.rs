use std::time::Duration;

use crate::SourceError;

/// How often, and after which pauses, something unavailable is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, the first one included; at least 1.
    pub attempts: u32,
    /// The pause after the first failure. It doubles with each further one.
    pub base: Duration,
    /// The longest pause, also where the remote asks for a longer one.
    pub max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            base: Duration::from_millis(200),
            max: Duration::from_secs(30),
        }
    }
}

/// Counts the failures of one piece of work.
#[derive(Debug)]
pub(crate) struct Backoff {
    policy: RetryPolicy,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        Self { policy, failures: 0 }
    }

    /// Failures so far.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// The pause before the next try, or the error back when there is to be none.
    ///
    /// Only [`SourceError::Unavailable`] is worth another try. What the remote asks for (`Retry-After`)
    /// wins over a shorter pause, never over the policy's longest.
    pub(crate) fn pause_after(&mut self, error: SourceError) -> Result<(Duration, String), SourceError> {
        let SourceError::Unavailable { message, retry_after } = error else {
            return Err(error);
        };
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.policy.attempts {
            return Err(SourceError::Unavailable {
                message: format!("{message} (gave up after {} attempts)", self.failures),
                retry_after,
            });
        }
        let doubled = self
            .policy
            .base
            .saturating_mul(2u32.saturating_pow(self.failures - 1));
        let pause = doubled.max(retry_after.unwrap_or_default());
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
        let mut backoff = Backoff::new(RetryPolicy {
            attempts: 5,
            base: Duration::from_millis(200),
            max: Duration::from_millis(700),
        });
        let mut pauses = vec![];
        let error = loop {
            match backoff.pause_after(unavailable(None)) {
                Ok((pause, _)) => pauses.push(pause.as_millis()),
                Err(error) => break error,
            }
        };
        assert_eq!(pauses, [200, 400, 700, 700]);
        assert_eq!(error.to_string(), "503 (gave up after 5 attempts)");
    }

    #[test]
    fn the_remote_may_ask_for_more_but_not_for_ever() {
        let mut backoff = Backoff::new(RetryPolicy::default());
        let asked = backoff.pause_after(unavailable(Some(1_500))).unwrap().0;
        assert_eq!(asked, Duration::from_millis(1_500));
        let forever = backoff.pause_after(unavailable(Some(u64::MAX))).unwrap().0;
        assert_eq!(forever, Duration::from_secs(30));
    }

    #[test]
    fn other_errors_are_not_tried_again() {
        let mut backoff = Backoff::new(RetryPolicy::default());
        let error = backoff
            .pause_after(SourceError::Malformed("cut".into()))
            .unwrap_err();
        assert!(matches!(error, SourceError::Malformed(_)));
    }
}
