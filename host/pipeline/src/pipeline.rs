use std::sync::Arc;
use std::time::Duration;

use crate::batch_writer::BatchWriter;
use crate::retry::Retries;
use crate::schedule::{Appointments, Wait};
use crate::stopwatch::Stopwatch;
use crate::succession::Succession;
use crate::visited_offsets::{VisitedOffsets, goes_back};
use crate::{
    BatchId, BatchReport, CheckpointLocation, Clock, ComponentId, NoopObserver, Offset, PipelineError,
    PipelineObserver, PipelineOptions, ReadLimit, Reader, ReaderOptions, RunSummary, Sink, Source,
    SourceError, SourceIdentity, StepOutcome, StopSignal, Successors, Trigger, Turn, Turns, VersionRecord,
};

/// One source, one sink, and the protocol between them.
///
/// [`run`](Self::run) follows a trigger. An embedder that decides by itself when to go on calls [`step`](Self::step),
/// and may [replace the source](Self::replace_source) between two steps. A newer version of the component that
/// is [offered](Self::with_successors) to it takes over by itself, and goes again if it fails.
pub struct Pipeline<S, K> {
    pub(crate) source: Arc<S>,
    pub(crate) sink: K,
    pub(crate) checkpoint: CheckpointLocation,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observer: Arc<dyn PipelineObserver>,
    pub(crate) stop: StopSignal,
    pub(crate) options: PipelineOptions,
    /// Whether the checkpoint location says that it is this pipeline's, as far as this run knows.
    pub(crate) location_claimed: bool,
    /// Where the last step ended. `None` while a micro-batch is at work or after one that failed: then the sink is
    /// asked.
    standing: Option<Standing>,
    pub(crate) succession: Succession<S>,
    /// The turns that it waits for, with the bytes that a micro-batch may take.
    turns: Option<(Turns, u64)>,
    /// The turn that it has.
    turn: Option<Turn>,
}

/// A committed position: everything up to `offset` is in the table.
pub(crate) struct Position {
    pub(crate) batch: BatchId,
    pub(crate) offset: Offset,
    /// Who read the last micro-batch, and what, as far as that is known.
    pub(crate) component: Option<ComponentId>,
    pub(crate) source: Option<SourceIdentity>,
}

/// Where a pipeline stands between two micro-batches.
pub(crate) struct Standing {
    pub(crate) position: Position,
    /// Offsets since the start.
    visited: Arc<VisitedOffsets>,
    /// Whether this source knows that everything up to the position is in the table.
    acknowledged: bool,
}

/// Why a piece of work ended early.
pub(crate) enum Interrupt {
    Stopped,
    /// Another version of the component waits to take over.
    Successor,
    Failed(PipelineError),
}

impl<E: Into<PipelineError>> From<E> for Interrupt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl<S: Source, K: Sink> Pipeline<S, K> {
    /// Puts the parts together, without an observer and without a way to stop it. Nothing happens before
    /// [`Pipeline::run`] or [`Pipeline::step`].
    pub fn new(
        source: Arc<S>,
        sink: K,
        checkpoint: CheckpointLocation,
        clock: Arc<dyn Clock>,
        options: PipelineOptions,
    ) -> Self {
        Self {
            source,
            sink,
            checkpoint,
            clock,
            observer: NoopObserver::shared(),
            stop: StopSignal::never(),
            options,
            location_claimed: false,
            standing: None,
            succession: Succession::none(),
            turns: None,
            turn: None,
        }
    }

    /// Reports to this observer.
    #[must_use]
    pub fn with_observer(self, observer: Arc<dyn PipelineObserver>) -> Self {
        Self { observer, ..self }
    }

    /// Stops when this signal is given.
    #[must_use]
    pub fn with_stop(self, stop: StopSignal) -> Self {
        Self { stop, ..self }
    }

    /// Polls by this trigger instead of that of the options.
    #[must_use]
    pub fn with_trigger(mut self, trigger: Trigger) -> Self {
        self.options.trigger = trigger;
        self
    }

    /// Reads each micro-batch in a turn of its own, in which it may take so many bytes of memory.
    #[must_use]
    pub fn with_turns(self, turns: Turns, bytes: u64) -> Self {
        Self {
            turns: Some((turns, bytes)),
            ..self
        }
    }

    /// Lets newer versions of the component take over between two micro-batches, on probation as the options say. `record`
    /// is what the checkpoint location holds of earlier swaps.
    #[must_use]
    pub fn with_successors(self, successors: Successors<S>, record: Option<VersionRecord>) -> Self {
        Self {
            succession: Succession::new(successors, record),
            ..self
        }
    }

    /// Waits for what the sink still has to finish. A version that is on probation ends it, without being refused.
    pub async fn close(mut self) {
        self.end_probation().await;
        self.sink.close().await;
    }

    /// Runs until the trigger is done, a stop is asked for, or something fails.
    ///
    /// What this process believed before does not count: every run asks the sink where it stands.
    ///
    /// # Errors
    /// The first failure of the source, the sink or the checkpoint location that retries could not help, or a breach of
    /// the contract. The sink then holds whole micro-batches only.
    pub async fn run(&mut self) -> Result<RunSummary, PipelineError> {
        self.standing = None;
        let mut summary = RunSummary::default();
        let outcome = self.run_trigger(&mut summary).await;
        self.end_turn().await;
        match outcome {
            Ok(()) => {}
            Err(Interrupt::Stopped | Interrupt::Successor) => summary.stopped = true,
            Err(Interrupt::Failed(e)) => return Err(e),
        }
        Ok(summary)
    }

    /// Reads and commits one micro-batch, or returns early when there is nothing new. The trigger does not count.
    ///
    /// The first step, and each one after a failure, asks the sink where the pipeline stands. A step that is dropped
    /// half way is as if the process had been killed: the next one finds out what became of it.
    ///
    /// # Errors
    /// As [`run`](Self::run). A micro-batch whose acknowledgement fails is committed all the same, and was reported to
    /// the observer.
    pub async fn step(&mut self) -> Result<StepOutcome, PipelineError> {
        let outcome = self.try_step().await;
        self.end_turn().await;
        match outcome {
            Ok(outcome) => Ok(outcome),
            Err(Interrupt::Stopped | Interrupt::Successor) => Ok(StepOutcome::Stopped),
            Err(Interrupt::Failed(e)) => Err(e),
        }
    }

    /// Goes on with another source, such as a newer version of the component, and returns the one before. The position
    /// is kept: no row is lost or read twice. To be called between two steps.
    ///
    /// # Errors
    /// [`PipelineError::OtherSource`] when it is not the source that read the last micro-batch, by the same comparison as
    /// at a start; [`SinkError::Schema`](crate::SinkError::Schema) or
    /// [`SinkError::LacksColumns`](crate::SinkError::LacksColumns) when the sink can't take its rows. The pipeline then
    /// goes on with the source that it has.
    pub async fn replace_source(&mut self, source: Arc<S>) -> Result<Arc<S>, PipelineError> {
        let committed = self.standing.as_ref().map(|standing| &standing.position);
        if let Some(position) = committed.filter(|position| position.batch > 0) {
            refuse_other_source(&*source, position)?;
        }
        self.sink.prepare(&source.schema()).await?;
        match &mut self.standing {
            Some(standing) if standing.position.batch > 0 => standing.acknowledged = false,
            // Where nothing is committed, the source says where to start.
            standing => *standing = None,
        }
        Ok(std::mem::replace(&mut self.source, source))
    }

    pub(crate) fn has_turns(&self) -> bool {
        self.turns.is_some()
    }

    /// Waits for a turn, unless it has one.
    async fn take_turn(&mut self) -> Result<(), Interrupt> {
        if let (Some((turns, bytes)), None) = (&self.turns, &self.turn) {
            self.turn = Some(tokio::select! {
                biased;
                () = self.stop.stopped() => return Err(Interrupt::Stopped),
                turn = turns.take(*bytes) => turn,
            });
        }
        Ok(())
    }

    /// Lets others have a turn. What the source held for the next call is given back before.
    async fn end_turn(&mut self) {
        if self.turn.is_some() {
            self.source.rest().await;
            self.turn = None;
        }
    }

    /// Makes the next step ask the sink where the pipeline stands.
    pub(crate) fn forget_position(&mut self) {
        self.standing = None;
    }

    async fn run_trigger(&mut self, summary: &mut RunSummary) -> Result<(), Interrupt> {
        let mut standing = self.begin().await?;
        summary.last_batch = standing.position.batch;
        summary.offset = Some(standing.position.offset.clone());
        let mut appointments = match &self.options.trigger {
            Trigger::Schedule(schedule) => Some(Appointments::new(schedule.clone())),
            _ => None,
        };
        loop {
            if let Some(appointments) = &mut appointments
                && !self.wait_for_next(&mut standing, appointments).await?
            {
                break;
            }
            let began = self.clock.elapsed();
            while let Err(interrupt) = self.process_available(&mut standing, summary).await {
                self.change_version(&mut standing, interrupt).await?;
            }
            match self.options.trigger {
                Trigger::Interval(interval) => {
                    let took = self.clock.elapsed().saturating_sub(began);
                    let paused = self.pause(interval.saturating_sub(took)).await;
                    self.poll_after(&mut standing, paused).await?;
                }
                Trigger::Schedule(_) => {}
                Trigger::AvailableNow | Trigger::Once => break,
            }
        }
        self.standing = Some(standing);
        Ok(())
    }

    /// Waits for the next time of a schedule. `false` when there is none.
    async fn wait_for_next(
        &mut self,
        standing: &mut Standing,
        appointments: &mut Appointments,
    ) -> Result<bool, Interrupt> {
        let mut appointment = appointments.next(&*self.clock);
        loop {
            match appointments.look(&mut appointment, &*self.clock) {
                Wait::Due => return Ok(true),
                Wait::Never => return Ok(false),
                Wait::Sleep(piece) => {
                    let paused = self.pause(piece).await;
                    if self.poll_after(standing, paused).await? {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// After a pause, or after the part of it that passed until another version took over. Whether one did: what it can
    /// do shows at once.
    async fn poll_after(
        &mut self,
        standing: &mut Standing,
        paused: Result<(), Interrupt>,
    ) -> Result<bool, Interrupt> {
        match paused {
            Ok(()) => Ok(false),
            Err(interrupt) => {
                self.change_version(standing, interrupt).await?;
                Ok(true)
            }
        }
    }

    /// Does what an interrupt asks for, as far as another version of the component can.
    async fn change_version(
        &mut self,
        standing: &mut Standing,
        interrupt: Interrupt,
    ) -> Result<(), Interrupt> {
        self.take_turn().await?;
        match interrupt {
            Interrupt::Stopped => Err(Interrupt::Stopped),
            Interrupt::Successor => self.take_over(standing).await,
            Interrupt::Failed(failure) => self.roll_back(standing, failure).await,
        }
    }

    async fn try_step(&mut self) -> Result<StepOutcome, Interrupt> {
        self.take_turn().await?;
        let mut standing = match self.standing.take() {
            Some(mut standing) => {
                if !standing.acknowledged {
                    self.acknowledge(&standing.position.offset).await?;
                    standing.acknowledged = true;
                }
                standing
            }
            None => self.begin().await?,
        };
        let committed = loop {
            match self.next_batch(&mut standing, None).await {
                Ok(committed) => break committed,
                Err(interrupt) => self.change_version(&mut standing, interrupt).await?,
            }
        };
        let outcome = match committed {
            Some(report) => StepOutcome::Committed(Box::new(report)),
            None => {
                self.found_nothing_new(&standing.position.offset).await;
                StepOutcome::NothingNew(standing.position.offset.clone())
            }
        };
        self.standing = Some(standing);
        Ok(outcome)
    }

    /// Asks the sink where the pipeline stands.
    async fn begin(&mut self) -> Result<Standing, Interrupt> {
        self.succession.open = false;
        self.take_turn().await?;
        let stop = self.stop.clone();
        let found = tokio::select! {
            biased;
            () = stop.stopped() => return Err(Interrupt::Stopped),
            found = self.look_up_start() => found?,
        };
        self.report_note(&found);
        let position = found.position;
        if position.batch > 0 {
            // The last run may have died between its commit and the acknowledgement.
            self.acknowledge(&position.offset).await?;
        }
        self.observer.started(position.batch, &position.offset);
        self.succession.open = true;
        Ok(Standing {
            visited: Arc::new(VisitedOffsets::new(&position.offset)),
            position,
            acknowledged: true,
        })
    }

    /// One poll: reads what is there, all of it, or one micro-batch if the trigger says once.
    async fn process_available(
        &mut self,
        standing: &mut Standing,
        summary: &mut RunSummary,
    ) -> Result<(), Interrupt> {
        let once = matches!(self.options.trigger, Trigger::Once);
        let before = summary.batches;
        if once && before > 0 {
            // The version that read it went again.
            return Ok(());
        }
        if self.succession.has_offer() {
            return Err(Interrupt::Successor);
        }
        self.take_turn().await?;
        let stop = self.stop.clone();
        let up_to = match once {
            true => None,
            false => tokio::select! {
                biased;
                () = stop.stopped() => return Err(Interrupt::Stopped),
                latest = self.find_latest(&standing.position.offset) => latest?,
            },
        };
        loop {
            if up_to.as_ref() == Some(&standing.position.offset) {
                self.found_nothing_new(&standing.position.offset).await;
                return Ok(());
            }
            let Some(report) = self.next_batch(standing, up_to.as_ref()).await? else {
                if summary.batches == before {
                    self.found_nothing_new(&standing.position.offset).await;
                }
                return Ok(());
            };
            summary.batches += 1;
            summary.rows += report.rows;
            summary.last_batch = report.batch;
            summary.revision = Some(report.revision);
            summary.offset = Some(report.end);
            if once || up_to.as_ref() == Some(&standing.position.offset) {
                return Ok(());
            }
            if self.stop.is_stopped() {
                return Err(Interrupt::Stopped);
            }
            self.end_turn().await;
        }
    }

    /// The end of what exists, pinned for one poll so that a growing remote can't make it endless.
    async fn find_latest(&mut self, start: &Offset) -> Result<Option<Offset>, Interrupt> {
        let mut retries = Retries::new(self.options.retry);
        loop {
            self.take_turn().await?;
            match self.source.latest_offset(start, None, ReadLimit::default()).await {
                Ok(latest) => return Ok(latest),
                Err(e) => self.pause_after(&mut retries, e).await?,
            }
        }
    }

    async fn found_nothing_new(&mut self, offset: &Offset) {
        self.observer.nothing_new(offset);
        self.passed(false).await;
    }

    /// The next micro-batch, unless another version waits to read it.
    async fn next_batch(
        &mut self,
        standing: &mut Standing,
        up_to: Option<&Offset>,
    ) -> Result<Option<BatchReport>, Interrupt> {
        if self.succession.has_offer() {
            return Err(Interrupt::Successor);
        }
        let report = self.micro_batch(standing, up_to).await?;
        if report.is_some() {
            self.passed(true).await;
        }
        Ok(report)
    }

    /// Plans, reads, stages, commits and acknowledges. `None` when there is nothing to read.
    ///
    /// A micro-batch whose acknowledgement fails is reported like any other, since it is in the table.
    async fn micro_batch(
        &mut self,
        standing: &mut Standing,
        up_to: Option<&Offset>,
    ) -> Result<Option<BatchReport>, Interrupt> {
        let start = standing.position.offset.clone();
        let mut watch = Stopwatch::start(&self.clock);
        let mut retries = Retries::new(self.options.retry);
        let (writer, end) = loop {
            self.take_turn().await?;
            let stop = self.stop.clone();
            watch.restart_steps();
            let attempt = tokio::select! {
                biased;
                () = stop.stopped() => return Err(Interrupt::Stopped),
                attempt = self.read(standing, up_to, &mut watch) => attempt,
            };
            match attempt {
                Ok(read) => break read,
                Err(PipelineError::Source(e)) => self.pause_after(&mut retries, e).await?,
                Err(e) => return Err(e.into()),
            }
        };
        // From here on nothing is abandoned half way.
        let mut staged = writer.finish(end).await?;
        watch.record(|durations| &mut durations.read);
        if staged.end == start {
            let rows = staged.stats.rows;
            return match rows > 0 {
                true => Err(PipelineError::Stuck { rows, offset: start }.into()),
                false => Ok(None),
            };
        }
        if !Arc::make_mut(&mut standing.visited).insert(&staged.end) {
            return Err(goes_back(&start, &staged.end).into());
        }
        let (batch, receipt) = self.commit(&standing.position, &mut staged).await?;
        watch.record(|durations| &mut durations.commit);
        let acknowledged = self.acknowledge(&batch.end).await;
        watch.record(|durations| &mut durations.acknowledge);
        standing.position = Position {
            batch: batch.batch,
            offset: batch.end.clone(),
            component: Some(batch.component.clone()),
            source: batch.source.clone(),
        };
        let report = BatchReport::new(batch, receipt, staged, up_to, watch.stop());
        self.observer.committed(&report);
        acknowledged?;
        Ok(Some(report))
    }

    async fn read(
        &mut self,
        standing: &Standing,
        up_to: Option<&Offset>,
        watch: &mut Stopwatch,
    ) -> Result<(BatchWriter<K>, Offset), PipelineError> {
        let options = ReaderOptions::default()
            .with_limit(self.options.limit)
            .with_parallelism(self.options.parallelism);
        let (source, visited) = (self.source.clone(), standing.visited.clone());
        let start = &standing.position.offset;
        let mut reader = Reader::open_after(source, start, up_to, options, visited).await?;
        watch.record(|durations| &mut durations.plan);
        let mut writer = BatchWriter::new(&*self.source);
        while let Some(batch) = reader.next().await? {
            let rows = writer.write(&mut self.sink, batch).await?;
            if rows > 0 {
                self.observer.rows_staged(rows);
            }
        }
        watch.record(|durations| &mut durations.read);
        Ok((writer, reader.position().clone()))
    }

    pub(crate) async fn pause_after(
        &mut self,
        retries: &mut Retries,
        error: SourceError,
    ) -> Result<(), Interrupt> {
        if self.succession.is_out_of_time(&*self.clock) {
            return Err(error.into());
        }
        let (pause, message) = retries.pause_after(error)?;
        self.observer.retrying(retries.failures(), pause, &message);
        self.pause(pause).await
    }

    async fn pause(&mut self, duration: Duration) -> Result<(), Interrupt> {
        self.end_turn().await;
        tokio::select! {
            biased;
            () = self.stop.stopped() => Err(Interrupt::Stopped),
            () = self.succession.offered() => Err(Interrupt::Successor),
            () = self.clock.sleep(duration) => Ok(()),
        }
    }
}

/// Compares a source with the one that read the last micro-batch.
pub(crate) fn refuse_other_source<S: Source>(source: &S, position: &Position) -> Result<(), PipelineError> {
    let (before, component_before) = (position.source.as_ref(), position.component.as_ref());
    let difference = source
        .identity()
        .difference(source.component(), before, component_before);
    match difference {
        None => Ok(()),
        Some(difference) => Err(PipelineError::OtherSource {
            batch: position.batch,
            difference,
            offset: Box::new(position.offset.clone()),
        }),
    }
}
