use crate::RowsError;
use crate::fault::{Found, Result};
use crate::scanner::{Kind, Scanner};

/// A JSON Pointer (RFC 6901), parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pointer(pub(crate) Vec<String>);

/// The most steps of a pointer.
const MAX_STEPS: usize = 32;

impl Pointer {
    pub(crate) fn parse(text: &str) -> Result<Self, RowsError> {
        let wrong = |reason| RowsError::Pointer {
            pointer: text.chars().take(200).collect(),
            reason,
        };
        if text.is_empty() {
            return Ok(Self::default());
        }
        let Some(steps) = text.strip_prefix('/') else {
            return Err(wrong("it begins with no slash"));
        };
        if steps.matches('/').count() >= MAX_STEPS {
            return Err(wrong("it has more than 32 steps"));
        }
        let step = |step: &str| {
            let escaped = step.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
            let step = step.replace("~1", "/").replace("~0", "~");
            escaped
                .then_some(step)
                .ok_or_else(|| wrong("a tilde is followed by neither 0 nor 1"))
        };
        steps.split('/').map(step).collect::<Result<_, _>>().map(Self)
    }

    /// The pointer of one member.
    pub(crate) fn member(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }
}

/// The index of an array's element, where a step can be one.
pub(crate) fn index(step: &str) -> Option<usize> {
    let is_plain = step == "0" || !step.starts_with(['0', '+', '-']);
    step.parse().ok().filter(|_| is_plain)
}

/// Goes to the value that a pointer leads to, and returns the kinds of the values on the way: `None`, after the whole
/// value, where it leads nowhere. What stands after the value is left to [`leave`].
pub(crate) fn descend(scanner: &mut Scanner<'_>, pointer: &Pointer) -> Result<Option<Vec<Kind>>> {
    let mut entered = Vec::with_capacity(pointer.0.len());
    for step in &pointer.0 {
        let kind = scanner.kind()?;
        let is_there = match kind {
            Kind::Object => find_member(scanner, step)?,
            Kind::Array => find_element(scanner, index(step))?,
            _ => scanner.skip().map(|()| false)?,
        };
        if !is_there {
            leave(scanner, pointer, &entered)?;
            return Ok(None);
        }
        entered.push(kind);
    }
    scanner.kind()?;
    Ok(Some(entered))
}

/// Takes what is left of the values that [`descend`] went into.
pub(crate) fn leave(scanner: &mut Scanner<'_>, pointer: &Pointer, entered: &[Kind]) -> Result<()> {
    let mut scratch = String::new();
    for (step, kind) in pointer.0.iter().zip(entered).rev() {
        if *kind == Kind::Array {
            while scanner.element(false)? {
                scanner.skip()?;
            }
            continue;
        }
        while let Some(name) = scanner.member(false, &mut scratch)? {
            if name.as_str() == step {
                return Err(scanner.fault(Found::Twice).within(step));
            }
            scanner.skip()?;
        }
    }
    Ok(())
}

/// Goes to the value of a member, or to the end of the object.
fn find_member(scanner: &mut Scanner<'_>, wanted: &str) -> Result<bool> {
    let mut scratch = String::new();
    scanner.open(b'{', Found::NoValue)?;
    let mut is_first = true;
    while let Some(name) = scanner.member(is_first, &mut scratch)? {
        if name.as_str() == wanted {
            return Ok(true);
        }
        scanner.skip()?;
        is_first = false;
    }
    Ok(false)
}

/// Goes to an element, or to the end of the array.
fn find_element(scanner: &mut Scanner<'_>, wanted: Option<usize>) -> Result<bool> {
    scanner.open(b'[', Found::NoValue)?;
    let mut at = 0;
    while scanner.element(at == 0)? {
        if wanted == Some(at) {
            return Ok(true);
        }
        scanner.skip()?;
        at += 1;
    }
    Ok(false)
}
