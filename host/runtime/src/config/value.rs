//! Single values: what fits, and what to say of what does not.

use std::time::Duration;

use bytesize::ByteSize;
use chrono_tz::Tz;
use sandbar_policy::{LimitKey, LimitKind, LimitValue};
use toml::de::{DeArray, DeTable, DeValue};
use url::Url;

use crate::schedule::{self, CronSchedule, ScheduleError};

/// Why a value does not fit: `fault` follows the key's name, `remedy` is written under the value.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) fault: String,
    pub(super) remedy: String,
    pub(super) help: Option<String>,
}

impl Refusal {
    pub(super) fn new(fault: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            fault: fault.into(),
            remedy: remedy.into(),
            help: None,
        }
    }
}

pub(super) fn text<'a>(value: &'a DeValue<'_>) -> Result<&'a str, Refusal> {
    let text = value
        .as_str()
        .ok_or_else(|| wrong_type(value, "a string", "write it in quotes"))?;
    match text.trim() {
        "" => Err(Refusal::new(
            "is empty",
            "write something here, or leave the key out",
        )),
        _ => Ok(text),
    }
}

pub(super) fn string(value: &DeValue<'_>) -> Result<String, Refusal> {
    text(value).map(str::to_owned)
}

pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, Refusal> {
    value
        .as_bool()
        .ok_or_else(|| wrong_type(value, "true or false", "write true or false, without quotes"))
}

pub(super) fn array<'a>(value: &'a DeValue<'a>) -> Result<&'a DeArray<'a>, Refusal> {
    value
        .as_array()
        .ok_or_else(|| wrong_type(value, "an array", "write it in square brackets"))
}

pub(super) fn table<'a>(value: &'a DeValue<'a>) -> Result<&'a DeTable<'a>, Refusal> {
    value
        .as_table()
        .ok_or_else(|| wrong_type(value, "a table", "write it as a table of its own"))
}

/// A whole number of at least 1.
pub(super) fn count<N: TryFrom<u64>>(value: &DeValue<'_>) -> Result<N, Refusal> {
    let integer = value
        .as_integer()
        .ok_or_else(|| wrong_type(value, "a whole number", "write digits alone"))?;
    let number = i128::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(i128::MAX);
    match u64::try_from(number)
        .ok()
        .filter(|number| *number > 0)
        .map(N::try_from)
    {
        Some(Ok(number)) => Ok(number),
        Some(Err(_)) => Err(Refusal::new(
            format!("is too large: {integer}"),
            "write a smaller number",
        )),
        None if number > 0 => Err(Refusal::new(
            format!("is too large: {integer}"),
            "write a smaller number",
        )),
        None => Err(Refusal::new(
            format!("can't be {integer}"),
            "write a number of at least 1",
        )),
    }
}

/// A number above 0, for rates.
pub(super) fn rate(value: &DeValue<'_>) -> Result<f64, Refusal> {
    let number = match value {
        DeValue::Integer(_) => count::<u32>(value).map(f64::from)?,
        DeValue::Float(float) => float.as_str().parse().unwrap_or(f64::NAN),
        _ => return Err(wrong_type(value, "a number", "write a number such as 50 or 0.5")),
    };
    if number.is_finite() && number > 0.0 {
        return Ok(number);
    }
    Err(Refusal::new(
        format!("can't be {number}"),
        "write a number above 0, or leave it out for no limit",
    ))
}

/// Bytes, at least one.
pub(super) fn size(value: &DeValue<'_>) -> Result<u64, Refusal> {
    const REMEDY: &str = "write a size with its unit, such as \"256MiB\"";
    let text = value
        .as_str()
        .ok_or_else(|| wrong_type(value, "a size", REMEDY))?;
    match text.parse::<ByteSize>() {
        Ok(ByteSize(0)) => Err(Refusal::new(
            "can't be 0 bytes",
            "write a size of at least 1 byte",
        )),
        Ok(ByteSize(bytes)) => Ok(bytes),
        Err(_) => Err(Refusal::new(format!("is not a size: {text:?}"), REMEDY)),
    }
}

/// A limit, of the kind and within the bounds that its key has.
pub(super) fn limit(value: &DeValue<'_>, key: LimitKey) -> Result<LimitValue, Refusal> {
    let bounds = key.bounds();
    Ok(match key.kind() {
        LimitKind::Size => LimitValue::Size(size_within(value, bounds)?),
        LimitKind::Time => LimitValue::Time(duration(value)?),
        LimitKind::Rate => LimitValue::Rate(rate(value)?),
        LimitKind::Count => match u32::try_from(*bounds.end()) {
            Ok(_) => LimitValue::Count(count::<u32>(value)?.into()),
            Err(_) => LimitValue::Count(count(value)?),
        },
    })
}

fn size_within(value: &DeValue<'_>, bounds: std::ops::RangeInclusive<u64>) -> Result<u64, Refusal> {
    let bytes = size(value)?;
    match bounds.contains(&bytes) {
        true => Ok(bytes),
        false => Err(Refusal::new(
            format!("can't be {}", ByteSize(bytes).display().iec()),
            format!(
                "write a size from \"{}\" to \"{}\"",
                written_size(*bounds.start()),
                written_size(*bounds.end())
            ),
        )),
    }
}

/// A size as a file has it: `64KiB`.
pub(super) fn written_size(bytes: u64) -> String {
    let text = ByteSize(bytes).display().iec().to_string();
    text.replace(".0 ", "").replace(' ', "")
}

/// A time span that is longer than nothing.
pub(super) fn duration(value: &DeValue<'_>) -> Result<Duration, Refusal> {
    const REMEDY: &str = "write a time with its unit, such as \"10s\" or \"200ms\"";
    let text = value
        .as_str()
        .ok_or_else(|| wrong_type(value, "a duration", REMEDY))?;
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err(Refusal::new("can't be no time at all", "write a time above zero")),
        Ok(duration) => Ok(duration),
        Err(_) => Err(Refusal::new(format!("is not a duration: {text:?}"), REMEDY)),
    }
}

/// When to poll, in cron's words.
pub(super) fn cron(value: &DeValue<'_>, zone: Tz) -> Result<CronSchedule, Refusal> {
    const REMEDY: &str =
        "write minute, hour, day of the month, month and day of the week, such as \"0 */2 * * *\"";
    let schedule = CronSchedule::in_zone(text(value)?, zone);
    schedule.map_err(|e| match e {
        ScheduleError::Never { .. } => Refusal::new(format!("is {e}"), "write a day that exists"),
        _ => Refusal::new(format!("is {e}"), REMEDY),
    })
}

/// A time zone of the IANA database.
pub(super) fn time_zone(value: &DeValue<'_>) -> Result<Tz, Refusal> {
    schedule::time_zone_named(text(value)?).map_err(|e| {
        let remedy = match &e {
            ScheduleError::TimeZone {
                nearest: Some(nearest),
                ..
            } => format!("did you mean {nearest:?}?"),
            _ => "write a name of the IANA database, such as \"Europe/Berlin\"".to_owned(),
        };
        Refusal::new(format!("is {e}"), remedy)
    })
}

/// A pipeline's name. It becomes part of transaction ids and file names.
pub(super) fn name(value: &DeValue<'_>) -> Result<String, Refusal> {
    let text = text(value)?;
    let inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    let fits = text.len() <= 64 && text.bytes().all(inner) && !text.starts_with(['_', '-']);
    if fits {
        return Ok(text.to_owned());
    }
    Err(Refusal::new(
        format!("is not a pipeline name: {text:?}"),
        "1 to 64 of a-z, 0-9, _ and -, beginning with a letter or digit",
    ))
}

pub(super) fn digest(value: &DeValue<'_>) -> Result<String, Refusal> {
    let text = text(value)?;
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(text.to_owned());
    }
    let mut refusal = Refusal::new(
        "is not a digest",
        "write \"sha256:\" and 64 hexadecimal digits in lower case",
    );
    refusal.help = Some("`sandbar inspect COMPONENT` prints it".to_owned());
    Err(refusal)
}

/// A public key of minisign: the algorithm "Ed", a number of 8 bytes and a key of 32, in Base64.
pub(super) fn public_key(value: &DeValue<'_>) -> Result<String, Refusal> {
    let text = text(value)?;
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    if text.len() == 56 && text.starts_with("RW") && text.bytes().all(base64) {
        return Ok(text.to_owned());
    }
    let mut refusal = Refusal::new(
        "is no public key of minisign",
        "write the line that begins with RW in the file minisign.pub",
    );
    refusal.help = Some("`minisign -G` makes a pair of keys".to_owned());
    Err(refusal)
}

/// As [`origin`], without a wildcard.
pub(super) fn exact_origin(value: &DeValue<'_>) -> Result<String, Refusal> {
    let text = origin(value)?;
    match text.contains("://*") {
        true => Err(Refusal::new(
            format!("holds {text:?}, and a secret is for one host"),
            "write the host's whole name",
        )),
        false => Ok(text),
    }
}

/// `scheme://host[:port][/path-prefix]`, as it was written. The host may begin with `*.`.
pub(super) fn origin(value: &DeValue<'_>) -> Result<String, Refusal> {
    const SHAPE: &str = "write scheme://host[:port][/path-prefix], such as \"https://api.example.com\"";
    let text = text(value)?;
    let refuse = |why: &str| Err(Refusal::new(format!("holds {text:?}, {why}"), SHAPE));
    // Said of the text, because a URL parser would take `https:host` and `https:///host` too.
    let lower = text.to_ascii_lowercase();
    let Some(rest) = lower
        .strip_prefix("https://")
        .or_else(|| lower.strip_prefix("http://"))
    else {
        return refuse("which is not an http or https origin");
    };
    if rest.is_empty() || rest.starts_with('/') {
        return refuse("which names no host");
    }
    if rest.contains(|c: char| c == '\\' || c.is_whitespace() || c.is_control()) {
        return refuse("which is not a plain URL");
    }
    match Url::parse(text) {
        Err(error) => refuse(&format!("which is not a URL: {error}")),
        Ok(url) if !url.username().is_empty() || url.password().is_some() || rest.contains('@') => {
            let mut refusal = Refusal::new("names a user or password", SHAPE);
            refusal.help = Some("credentials belong into [[source.credentials]]".to_owned());
            Err(refusal)
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            refuse("which has a query or fragment")
        }
        Ok(url) if url.host_str().is_some_and(is_bad_wildcard) => {
            refuse("and a wildcard stands in front of two labels or more, as in https://*.example.com")
        }
        Ok(_) => Ok(text.to_owned()),
    }
}

fn is_bad_wildcard(host: &str) -> bool {
    let named = host.strip_prefix("*.").unwrap_or(host);
    named.contains('*') || (named != host && !named.trim_end_matches('.').contains('.'))
}

/// A header that the host may add, in lower case.
pub(super) fn header(value: &DeValue<'_>) -> Result<String, Refusal> {
    const OWN: [&str; 8] = [
        "connection",
        "content-length",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let name = text(value)?.to_ascii_lowercase();
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.bytes().all(token) {
        return Err(Refusal::new(
            format!("is not a header name: {name:?}"),
            "write a name such as \"authorization\"",
        ));
    }
    if OWN.contains(&name.as_str()) || name.starts_with("proxy-") {
        return Err(Refusal::new(
            format!("can't be `{name}`"),
            "this header belongs to the connection itself",
        ));
    }
    Ok(name)
}

/// A table's or checkpoint location: a path, or a URL. What a shell or another program would replace is not replaced
/// here, and a folder of that very name is not what anybody wants.
pub(super) fn location(value: &DeValue<'_>) -> Result<String, Refusal> {
    let text = text(value)?;
    let refuse = |fault: String, remedy: &str| Err(Refusal::new(fault, remedy));
    let variable =
        |rest: &str| rest.starts_with(|c: char| c == '{' || c == '(' || c == '_' || c.is_ascii_alphabetic());
    if text.split('/').next().is_some_and(|first| first.starts_with('~')) {
        return refuse(
            format!("begins with `~`, which stands for no folder here: {text:?}"),
            "write the whole path, or one relative to this file",
        );
    }
    if text.match_indices('$').any(|(at, _)| variable(&text[at + 1..])) {
        return refuse(
            format!("names a variable, and none is replaced here: {text:?}"),
            "write the path itself; `${env:...}` is for credentials",
        );
    }
    let scheme = text.split_once(":/").filter(|(scheme, _)| {
        scheme.len() > 1
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(&b))
    });
    match scheme {
        Some((scheme, rest)) if !is_url(text) => refuse(
            format!("is neither a URL nor a path: {text:?}"),
            match scheme {
                "file" => "write \"file:///path\", or the path alone",
                _ if rest.is_empty() => "write a path, or a URL with a bucket or host",
                _ => "write two slashes after the colon of a URL, such as \"s3://bucket/path\"",
            },
        ),
        _ => Ok(text.to_owned()),
    }
}

/// Whether a location is a URL, which is never relative to the file.
pub(super) fn is_url(location: &str) -> bool {
    location.contains("://") || location.starts_with("dbfs:/")
}

fn wrong_type(value: &DeValue<'_>, wanted: &str, remedy: &str) -> Refusal {
    let article = if matches!(value, DeValue::Integer(_) | DeValue::Array(_)) {
        "an"
    } else {
        "a"
    };
    Refusal::new(
        format!("must be {wanted}, not {article} {}", value.type_str()),
        remedy,
    )
}
