use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use crate::RecordedRequest;

/// One way to misbehave.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Answers with this status, these headers and this body.
    Status {
        /// The status code, 100 to 999.
        code: u16,
        /// Names and values.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// Answers 502 with a page for people, as proxies do.
    HtmlErrorPage,
    /// Promises the whole body, sends half of it and closes the connection.
    CutBody,
    /// Closes the connection without an answer.
    DropConnection,
    /// Never answers.
    Hang,
    /// Gives ids as text.
    WrongType,
    /// Answers 200 with a body that says it is JSON and is not.
    NotJson,
    /// Gives everything from the start on, whatever the limit.
    IgnoreLimit,
    /// Gives the first rows, wherever the request wants to begin.
    IgnoreStart,
    /// Gives at most so many rows, although there are more.
    ShortPage(u64),
    /// Leaves out `X-Total-Count`.
    NoTotalHeader,
    /// Answers 302 to this address.
    Redirect(String),
    /// Gives each comment the value of this header of the request for its name.
    EchoHeader(String),
    /// Gives each comment this name.
    Name(String),
    /// Answers in this charset, `iso-8859-1` or `utf-16le`, and names it. Each comment has a name that is not ASCII.
    Charset(&'static str),
    /// Answers with a byte order mark before the JSON.
    ByteOrderMark,
    /// Names this `content-encoding`, and does not code the body.
    ContentEncoding(String),
    /// Waits so long, then answers as it should.
    Delay(Duration),
}

impl Fault {
    /// A bare status without headers and body.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self::Status {
            code,
            headers: Vec::new(),
            body: String::new(),
        }
    }
}

/// The faults to come.
#[derive(Debug, Default)]
pub(crate) struct Script {
    at: BTreeMap<usize, Fault>,
    next: VecDeque<Fault>,
    when: Vec<Rule>,
}

struct Rule {
    applies: Box<dyn Fn(&RecordedRequest) -> bool + Send>,
    fault: Fault,
    times: usize,
}

impl Script {
    pub(crate) fn add_at(&mut self, number: usize, fault: Fault) {
        self.at.insert(number, fault);
    }

    pub(crate) fn add_next(&mut self, fault: Fault) {
        self.next.push_back(fault);
    }

    pub(crate) fn add_when(
        &mut self,
        applies: impl Fn(&RecordedRequest) -> bool + Send + 'static,
        fault: Fault,
        times: usize,
    ) {
        self.when.push(Rule {
            applies: Box::new(applies),
            fault,
            times,
        });
    }

    /// The fault for a request, used up. One for its number goes before one for whatever comes next, and that
    /// before one for requests of a kind.
    pub(crate) fn take(&mut self, number: usize, request: &RecordedRequest) -> Option<Fault> {
        if let Some(fault) = self.at.remove(&number).or_else(|| self.next.pop_front()) {
            return Some(fault);
        }
        let rule = self
            .when
            .iter_mut()
            .find(|rule| rule.times > 0 && (rule.applies)(request))?;
        rule.times -= 1;
        Some(rule.fault.clone())
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} x {}", self.fault, self.times)
    }
}
