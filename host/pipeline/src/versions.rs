//! Which version of a component reads a pipeline: what is durable of swaps.

use serde::{Deserialize, Serialize};

use crate::{BatchId, ComponentId};

/// The most versions that a record refuses, and the most swaps that it remembers. The oldest go first.
const KEPT: usize = 100;
/// The longest text of a reason, in bytes.
const MAX_REASON: usize = 1000;

/// The file `component.json` of a checkpoint location, written by each swap. Without a swap there is none, and the
/// configuration alone says which version reads.
///
/// | step | what is written | what a start after a crash runs |
/// |---|---|---|
/// | a new version takes over | it is on probation | the version before it, and the new one is refused |
/// | the probation is passed | it is the current version | the new version |
/// | the probation is failed | it is refused | the version before it |
///
/// So the version before is what runs until the new one was proven, whatever happens in between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// What the configuration named when the swap was made. A configuration that names something else is newer than this
    /// record, and wins.
    pub configured: String,
    /// The version that is known to work.
    pub current: Version,
    /// The version that has still to prove itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probation: Option<OnProbation>,
    /// Versions that failed, oldest first. None of them is swapped in again unless someone says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedVersion>,
    /// A version whose probation was cut short by a stop, which is no fault of its own: it may be tried again, and does not
    /// start by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unproven: Option<Version>,
    /// What happened, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub swaps: Vec<SwapRecord>,
}

/// One version of a component, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The reference that it was found by.
    pub reference: String,
    /// Its name, version and digest.
    pub component: ComponentId,
    /// The text of its signature, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// A version on probation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnProbation {
    /// The version.
    pub version: Version,
    /// The last micro-batch before it took over, 0 for none.
    pub after_batch: BatchId,
}

/// A version that failed its probation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedVersion {
    /// Its name, version and digest.
    pub component: ComponentId,
    /// Why, in words.
    pub reason: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
}

/// One swap, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapRecord {
    /// When the new version took over, in milliseconds since 1970.
    pub at: i64,
    /// The version before.
    pub from: ComponentId,
    /// The new one.
    pub to: ComponentId,
    /// Who asked for it.
    pub by: String,
    /// Why, in the words of whoever asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The last micro-batch before it, 0 for none.
    pub after_batch: BatchId,
    /// What came of it.
    pub outcome: SwapOutcome,
}

/// What came of a swap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "why")]
#[non_exhaustive]
pub enum SwapOutcome {
    /// The new version still has to prove itself.
    OnProbation,
    /// It did.
    Promoted,
    /// It failed, and the version before reads again.
    RolledBack(String),
    /// The process ended before it was decided, and the version before reads again.
    Interrupted(String),
}

/// Who wants a swap, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SwapOrder {
    /// Who asks: a user, `watch`, a program.
    pub by: String,
    /// Why, in their words. May be empty.
    pub reason: String,
}

/// The version to start with: see [`VersionRecord::at_start`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartVersion {
    /// What the configuration names.
    Configured,
    /// This version, whatever the configured reference leads to by now.
    Recorded(Version),
}

impl VersionRecord {
    /// The record of a pipeline whose current version was not swapped in.
    pub fn new(configured: impl Into<String>, current: Version) -> Self {
        Self {
            configured: configured.into(),
            current,
            probation: None,
            refused: vec![],
            unproven: None,
            swaps: vec![],
        }
    }

    /// The version to start with, for a configuration that names `configured` and a digest, if it pins one.
    ///
    /// A configuration that was changed since wins, and so does a pinned digest. A version that was swapped in from
    /// elsewhere goes on. Where the reference is still the configured one, what it leads to is asked anew: see
    /// [`refuses`](Self::refuses).
    pub fn at_start(&self, configured: &str, pinned: Option<&str>) -> StartVersion {
        let same = self.configured == configured;
        match same && pinned.is_none() && self.current.reference != configured {
            true => StartVersion::Recorded(self.current.clone()),
            false => StartVersion::Configured,
        }
    }

    /// Whether a version of this digest must not start by itself: it failed, or has still to prove itself.
    pub fn holds_back(&self, digest: &str) -> bool {
        let unproven = self.unproven.as_ref();
        self.refuses(digest).is_some() || unproven.is_some_and(|version| version.component.digest == digest)
    }

    /// Why a version of this digest is refused, if it is.
    pub fn refuses(&self, digest: &str) -> Option<&RefusedVersion> {
        let mut newest_first = self.refused.iter().rev();
        newest_first.find(|refused| refused.component.digest == digest)
    }

    /// Allows a version again.
    pub fn forgive(&mut self, digest: &str) {
        self.refused.retain(|refused| refused.component.digest != digest);
    }

    /// A new version takes over after a micro-batch, at a time in milliseconds since 1970.
    pub fn begin(&mut self, version: Version, after_batch: BatchId, order: &SwapOrder, at: i64) {
        push(
            &mut self.swaps,
            SwapRecord {
                at,
                from: self.current.component.clone(),
                to: version.component.clone(),
                by: shortened(&order.by),
                reason: shortened(&order.reason),
                after_batch,
                outcome: SwapOutcome::OnProbation,
            },
        );
        self.unproven = None;
        self.probation = Some(OnProbation { version, after_batch });
    }

    /// The version on probation has proven itself.
    pub fn promote(&mut self) {
        if let Some(OnProbation { version, .. }) = self.probation.take() {
            self.current = version;
            self.decide(SwapOutcome::Promoted);
        }
    }

    /// The version on probation failed.
    pub fn roll_back(&mut self, reason: &str, at: i64) {
        let reason = shortened(reason);
        self.refuse_candidate(&reason, at);
        self.decide(SwapOutcome::RolledBack(reason));
    }

    /// The process was asked to end during a probation, which is no fault of the version: it is not refused.
    pub fn stop(&mut self) {
        if let Some(OnProbation { version, .. }) = self.probation.take() {
            self.unproven = Some(version);
            let reason = "the pipeline was stopped before the version was promoted";
            self.decide(SwapOutcome::Interrupted(reason.into()));
        }
    }

    /// A start finds a version on probation: the process before it came to a sudden end, of which the version may have
    /// been the cause. Returns whether it was so.
    pub fn interrupt(&mut self, at: i64) -> bool {
        if self.probation.is_none() {
            return false;
        }
        let reason = "the process ended suddenly while this version was on probation";
        self.refuse_candidate(reason, at);
        self.decide(SwapOutcome::Interrupted(reason.into()));
        true
    }

    fn refuse_candidate(&mut self, reason: &str, at: i64) {
        if let Some(OnProbation { version, .. }) = self.probation.take() {
            self.forgive(&version.component.digest);
            push(
                &mut self.refused,
                RefusedVersion {
                    component: version.component,
                    reason: reason.to_owned(),
                    at,
                },
            );
        }
    }

    fn decide(&mut self, outcome: SwapOutcome) {
        if let Some(last) = self.swaps.last_mut() {
            last.outcome = outcome;
        }
    }
}

fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() >= KEPT {
        list.remove(0);
    }
    list.push(item);
}

fn shortened(text: &str) -> String {
    sandbar_policy::sanitize(text, MAX_REASON)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u8) -> Version {
        Version {
            reference: format!("c@{number}"),
            component: ComponentId {
                name: "c".into(),
                version: format!("{number}.0.0"),
                digest: format!("sha256:{number:02}"),
            },
            signature: None,
        }
    }

    fn swapped() -> VersionRecord {
        let mut record = VersionRecord::new("c@1", version(1));
        let order = SwapOrder {
            by: "me".into(),
            reason: "it is faster".into(),
        };
        record.begin(version(2), 7, &order, 1);
        record
    }

    #[test]
    fn the_version_before_runs_until_the_new_one_is_promoted() {
        let mut record = swapped();
        assert_eq!(record.at_start("c@1", None), StartVersion::Configured);
        assert_eq!(record.current, version(1));
        record.promote();
        assert_eq!(record.at_start("c@1", None), StartVersion::Recorded(version(2)));
        assert_eq!(record.swaps[0].outcome, SwapOutcome::Promoted);
        assert_eq!(
            (record.swaps[0].by.as_str(), record.swaps[0].after_batch),
            ("me", 7)
        );
    }

    #[test]
    fn a_configuration_that_was_changed_or_pins_a_digest_wins() {
        let mut record = swapped();
        record.promote();
        assert_eq!(record.at_start("c@3", None), StartVersion::Configured);
        assert_eq!(
            record.at_start("c@1", Some("sha256:01")),
            StartVersion::Configured
        );
    }

    #[test]
    fn a_version_that_failed_is_refused_until_it_is_forgiven() {
        let mut record = swapped();
        record.roll_back("it trapped", 2);
        assert_eq!(record.refuses("sha256:02").unwrap().reason, "it trapped");
        assert_eq!(record.refuses("sha256:01"), None);
        assert_eq!(record.current, version(1));
        record.forgive("sha256:02");
        assert_eq!(record.refuses("sha256:02"), None);
    }

    #[test]
    fn a_sudden_end_counts_against_the_new_version_and_a_stop_does_not() {
        let mut record = swapped();
        assert!(record.interrupt(2));
        assert!(record.refuses("sha256:02").is_some() && record.probation.is_none());
        assert!(!record.interrupt(3));
        let mut record = swapped();
        record.stop();
        assert!(record.refuses("sha256:02").is_none() && record.probation.is_none());
        assert!(record.holds_back("sha256:02") && !record.holds_back("sha256:01"));
        assert!(matches!(record.swaps[0].outcome, SwapOutcome::Interrupted(_)));
        record.begin(version(2), 8, &SwapOrder::default(), 3);
        record.promote();
        assert!(!record.holds_back("sha256:02"));
    }

    #[test]
    fn a_record_stays_small_and_reads_what_it_wrote() {
        let mut record = VersionRecord::new("c@1", version(1));
        for n in 0..300 {
            record.begin(version((n % 99) as u8), n, &SwapOrder::default(), 0);
            record.roll_back(&"x".repeat(10_000), 0);
        }
        assert!(record.swaps.len() == KEPT && record.refused.len() <= KEPT);
        let text = serde_json::to_string(&record).unwrap();
        assert!(text.len() < 400_000, "{}", text.len());
        assert_eq!(serde_json::from_str::<VersionRecord>(&text).unwrap(), record);
    }
}
