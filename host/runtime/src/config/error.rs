//! Errors that know their place in the file.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, Report, SourceCode};

/// What is wrong with a pipeline file: at least one [`Problem`].
///
/// `Display` gives one line with file and line number, for logs. For people, print [`into_report`](Self::into_report).
#[derive(Debug, Clone)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

/// One mistake in a pipeline file. `Display` gives the message alone.
#[derive(Debug, Clone)]
pub struct Problem {
    source: Arc<NamedSource<String>>,
    mistake: Mistake,
    line: usize,
}

/// A mistake and its place, before the file is known.
#[derive(Debug, Clone)]
pub(super) struct Mistake {
    span: Range<usize>,
    message: String,
    label: String,
    help: Option<String>,
}

impl ConfigError {
    /// The mistakes, in the order of the file.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// For people: each mistake with the lines that it is in. Print it with `{:?}`.
    #[must_use]
    pub fn into_report(self) -> Report {
        match <[Problem; 1]>::try_from(self.problems) {
            Ok([problem]) => Report::new(problem),
            Err(problems) => Report::new(Several(Self { problems })),
        }
    }

    pub(super) fn new(source: &Arc<NamedSource<String>>, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| mistake.span.start);
        let line = |mistake: &Mistake| {
            let before = source.inner().as_bytes().iter().take(mistake.span.start);
            before.filter(|byte| **byte == b'\n').count() + 1
        };
        let problems = mistakes
            .into_iter()
            .map(|mistake| Problem {
                source: Arc::clone(source),
                line: line(&mistake),
                mistake,
            })
            .collect();
        Self { problems }
    }

    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        let source = Arc::new(NamedSource::new(path.to_string_lossy(), String::new()));
        let mistake = Mistake::new(
            0..0,
            format!("can't read the pipeline file {}: {error}", path.display()),
        );
        Self {
            problems: vec![Problem {
                source,
                mistake,
                line: 0,
            }],
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            if problem.line > 0 {
                write!(f, "{}:{}: ", problem.source.name(), problem.line)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl Diagnostic for ConfigError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.only().and_then(Diagnostic::help)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.only().and_then(Diagnostic::source_code)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.only().and_then(Diagnostic::labels)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        let several = self.only().is_none();
        several.then(|| Box::new(self.problems.iter().map(|problem| problem as &dyn Diagnostic)) as _)
    }
}

impl ConfigError {
    fn only(&self) -> Option<&Problem> {
        match self.problems.as_slice() {
            [problem] => Some(problem),
            _ => None,
        }
    }
}

/// Several mistakes under a short title, because each is shown in full below it.
#[derive(Debug)]
struct Several(ConfigError);

impl fmt::Display for Several {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self
            .0
            .problems
            .first()
            .map_or("the pipeline file", |problem| problem.source.name());
        write!(f, "{file} has {} mistakes", self.0.problems.len())
    }
}

impl std::error::Error for Several {}

impl Diagnostic for Several {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        self.0.related()
    }
}

impl Problem {
    /// The line of the file, counted from 1, or nothing when the file could not be read.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        (self.line > 0).then_some(self.line)
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.mistake.help.as_deref()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mistake.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.mistake.help.as_ref().map(|help| Box::new(help) as _)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        (self.line > 0).then_some(&*self.source as _)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let Mistake { span, label, .. } = &self.mistake;
        let label = LabeledSpan::new_primary_with_span(Some(label.clone()), span.clone());
        (self.line > 0).then(|| Box::new(std::iter::once(label)) as _)
    }
}

impl Mistake {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            label: "here".to_owned(),
            help: None,
        }
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(super) fn help<S: Into<String>>(mut self, help: Option<S>) -> Self {
        self.help = help.map(Into::into);
        self
    }
}
