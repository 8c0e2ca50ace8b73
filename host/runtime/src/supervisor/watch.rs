//! Looks where the reference of a pipeline's component leads to, and swaps when it leads to another version.

use std::sync::Weak;

use sandbar_pipeline::{Backoff, PipelineError, SwapOrder};
use sandbar_registry::Resolution;

use super::supervised::Supervised;
use crate::RuntimeError;
use crate::swap::{SwapCheck, SwapReport, SwapRequest};

/// How often the interval may double while the reference can't be looked at.
const MAX_DOUBLINGS: u32 = 6;

/// Watches the component of a pipeline until that ends.
///
/// A file is taken when it is the same at two looks in a row, so that one that is still being written is left alone. What
/// was tried and refused is not tried again until the reference leads elsewhere. While the pipeline reads with a version
/// that someone swapped in from another reference, that one stays.
pub(super) async fn watch(pipeline: Weak<Supervised>) {
    let mut seen: Option<Resolution> = None;
    let mut tried: Option<Resolution> = None;
    let mut backoff: Option<Backoff> = None;
    prove(&pipeline).await;
    loop {
        let Some(watched) = pipeline.upgrade() else { return };
        let (config, clock) = (watched.file(), watched.runtime().clock());
        let interval = config.config().swap.watch_interval;
        drop(watched);
        let pause = match &mut backoff {
            Some(backoff) => backoff.next_pause(),
            None => interval,
        };
        clock.sleep(pause).await;
        let Some(watched) = pipeline.upgrade() else { return };
        let file = watched.file();
        if !file.config().source.watch || !watched.follows_file() {
            continue;
        }
        let reference = file.config().source.component.clone();
        let resolved = watched.runtime().resolve(&file, &reference).await;
        let resolution = match resolved {
            Ok(Some(resolution)) => resolution,
            Ok(None) => continue,
            Err(e) => {
                let longest = interval * 2u32.pow(MAX_DOUBLINGS);
                backoff.get_or_insert_with(|| Backoff::new(interval, longest));
                let text = watched.runtime().explain(&e);
                tracing::warn!(pipeline = %file.config().name, "can't look for a newer version: {text}");
                continue;
            }
        };
        backoff = None;
        let settled = seen.as_ref() == Some(&resolution) || resolution.digest().is_some();
        seen = Some(resolution.clone());
        if !settled || tried.as_ref() == Some(&resolution) {
            continue;
        }
        let request = SwapRequest {
            reference: String::new(),
            again: false,
            order: SwapOrder {
                by: "watch".into(),
                reason: format!("{reference} leads to another version"),
            },
        };
        match watched.swap(request).await {
            Ok(SwapReport::Unchanged { .. } | SwapReport::TookOver(_)) => tried = Some(resolution),
            Err(e) if comes_again(&e) => {}
            Err(e) => {
                let text = watched.runtime().explain(&e);
                tracing::warn!(pipeline = %file.config().name, "{text}");
                tried = Some(resolution);
            }
        }
    }
}

/// Tries the version again whose probation was cut short by a stop.
async fn prove(pipeline: &Weak<Supervised>) {
    let Some(supervised) = pipeline.upgrade() else {
        return;
    };
    supervised.reads().await;
    if !supervised.has_unproven() {
        return;
    }
    let request = SwapRequest {
        order: SwapOrder {
            by: "start".into(),
            reason: "a stop had cut its probation short".into(),
        },
        ..SwapRequest::default()
    };
    if let Err(e) = supervised.swap(request).await {
        let text = supervised.runtime().explain(&e);
        tracing::warn!(pipeline = %supervised.file().config().name, "{text}");
    }
}

/// Whether the same swap may go well at the next look.
fn comes_again(error: &RuntimeError) -> bool {
    match error {
        RuntimeError::Pipeline { .. } => true,
        _ if error.waits_for_probation() => true,
        RuntimeError::Swap { check, source } => match &**source {
            RuntimeError::Registry(e) => e.is_transient(),
            RuntimeError::Run { source, .. } => matches!(source, PipelineError::Stopped),
            RuntimeError::Source(sandbar_pipeline::SourceError::Unavailable { .. }) => {
                *check == SwapCheck::Offset
            }
            _ => false,
        },
        _ => false,
    }
}
