use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use minisign_verify::{Error, PublicKey, Signature};
use sandbar_policy::sanitize;

use crate::blocking::blocking;
use crate::{RegistryError, SignatureFault};

/// The longest text of a signature in bytes. A usual one has 300.
pub const MAX_SIGNATURE_BYTES: u64 = 16 << 10;
/// Keys that one component may be signed by.
const MAX_KEYS: usize = 100;
/// What is shown of a comment.
const MAX_COMMENT: usize = 500;

/// Public keys of minisign, one of which must have signed a component.
#[derive(Clone, Debug)]
pub struct TrustedKeys {
    keys: Vec<(String, PublicKey)>,
}

/// Who signed a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBy {
    /// Id of the key, as `minisign` writes it: up to 16 hexadecimal digits, without zeros before them.
    pub key_id: String,
    /// What the signer signed beside the component. It is fit to be shown.
    pub comment: String,
    /// When the signature's time is over, if it has an end.
    pub expires: Option<SystemTime>,
}

impl TrustedKeys {
    /// Reads public keys: the line that starts with `RW`, or the whole text of a `.pub` file.
    ///
    /// # Errors
    /// [`RegistryError::Key`] naming the one that is none; also where there is no key at all.
    pub fn parse(texts: &[String]) -> Result<Self, RegistryError> {
        if texts.is_empty() || texts.len() > MAX_KEYS {
            return Err(RegistryError::Key {
                text: String::new(),
                reason: format!("{} keys are named, and 1 to {MAX_KEYS} can be", texts.len()),
            });
        }
        let keys = texts.iter().map(|text| key(text));
        Ok(Self {
            keys: keys.collect::<Result<_, _>>()?,
        })
    }

    /// Ids of the keys, as `minisign` writes them.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(id, _)| id.as_str())
    }

    /// Checks that one of the keys signed these bytes, and that the signature's time is not over. A signature ends where a
    /// field of its trusted comment says so: `expires:2027-01-31` (the whole day, UTC) or a time in RFC 3339.
    ///
    /// # Errors
    /// [`RegistryError::Signature`] naming the component, the keys and the remedy.
    pub fn verify(
        &self,
        component: &str,
        bytes: &[u8],
        signature: Option<&str>,
        now: SystemTime,
    ) -> Result<SignedBy, RegistryError> {
        self.judge(bytes, signature, now)
            .map_err(|fault| RegistryError::Signature {
                component: component.to_owned(),
                fault,
            })
    }

    fn judge(
        &self,
        bytes: &[u8],
        signature: Option<&str>,
        now: SystemTime,
    ) -> Result<SignedBy, SignatureFault> {
        let unreadable = |reason: &str| SignatureFault::Unreadable {
            reason: reason.to_owned(),
        };
        let Some(text) = signature else {
            return Err(SignatureFault::Unsigned { trusted: self.list() });
        };
        let decoded = Signature::decode(text)
            .ok()
            .zip(text.lines().nth(1).and_then(key_id));
        let Some((signature, key_id)) = decoded else {
            return Err(unreadable("it is no text of minisign"));
        };
        // Ids are short, and two keys may share one.
        let mut named = self.keys.iter().filter(|(id, _)| *id == key_id).peekable();
        if named.peek().is_none() {
            return Err(SignatureFault::OtherKey {
                key_id,
                trusted: self.list(),
            });
        }
        let mut fault = SignatureFault::Wrong {
            key_id: key_id.clone(),
        };
        for (_, key) in named {
            match key.verify(bytes, &signature, false) {
                Ok(()) => return within_time(key_id, signature.trusted_comment(), now),
                Err(Error::UnexpectedAlgorithm) => {
                    fault = unreadable("it is of the old form (minisign -l), which signs no hash");
                }
                Err(_) => {}
            }
        }
        Err(fault)
    }

    fn list(&self) -> String {
        self.ids().collect::<Vec<_>>().join(", ")
    }
}

/// Whether it is the text of a `.minisig` file.
pub(crate) fn is_readable(text: &str) -> bool {
    text.len() as u64 <= MAX_SIGNATURE_BYTES && Signature::decode(text).is_ok()
}

/// [`TrustedKeys::verify`] where it holds nobody up: it hashes the component.
pub(crate) async fn verify(
    keys: &TrustedKeys,
    component: &str,
    bytes: &Arc<[u8]>,
    signature: Option<String>,
    now: SystemTime,
) -> Result<SignedBy, RegistryError> {
    let (keys, component, bytes) = (keys.clone(), component.to_owned(), Arc::clone(bytes));
    blocking(move || keys.verify(&component, &bytes, signature.as_deref(), now)).await
}

/// Takes a comment that was signed to its fields. Where it has several ends, the first one counts.
fn within_time(key_id: String, comment: &str, now: SystemTime) -> Result<SignedBy, SignatureFault> {
    const FIELD: &str = "expires:";
    let is_field = |field: &&str| {
        field
            .get(..FIELD.len())
            .is_some_and(|name| name.eq_ignore_ascii_case(FIELD))
    };
    let now = DateTime::<Utc>::from(now);
    let mut expires = None::<DateTime<Utc>>;
    for field in comment.split([' ', '\t']).filter(is_field) {
        let text = &field[FIELD.len()..];
        let shown = sanitize(text, 100);
        let Some(end) = end_of(text) else {
            return Err(SignatureFault::Expiry {
                key_id,
                expires: shown,
            });
        };
        if end <= now {
            return Err(SignatureFault::Expired {
                key_id,
                expires: shown,
            });
        }
        expires = Some(expires.map_or(end, |earlier| earlier.min(end)));
    }
    Ok(SignedBy {
        key_id,
        comment: sanitize(comment, MAX_COMMENT),
        expires: expires.map(SystemTime::from),
    })
}

/// The first moment that is too late.
fn end_of(text: &str) -> Option<DateTime<Utc>> {
    let end = match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        Ok(day) => day
            .checked_add_signed(TimeDelta::days(1))?
            .and_hms_opt(0, 0, 0)?
            .and_utc(),
        Err(_) => DateTime::parse_from_rfc3339(text).ok()?.to_utc(),
    };
    // What is later than the machine's clock can say.
    (end.timestamp() >= 0).then_some(end)
}

fn key(text: &str) -> Result<(String, PublicKey), RegistryError> {
    let wrong = |reason: &str| RegistryError::Key {
        // It may be the secret key.
        text: sanitize(text, 8),
        reason: reason.to_owned(),
    };
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().ok_or_else(|| wrong("it is empty"))?;
    let line = match first.starts_with("untrusted comment:") {
        true => lines.next().ok_or_else(|| wrong("it has a comment and no key"))?,
        false => first,
    };
    if lines.next().is_some() {
        return Err(wrong("it has more lines than a key"));
    }
    let key = PublicKey::from_base64(line).map_err(|_| wrong("it is not the Base64 of 42 bytes"))?;
    let id = key_id(line).ok_or_else(|| wrong("it is not the Base64 of 42 bytes"))?;
    Ok((id, key))
}

/// The id in a line of a key or a signature: two bytes of an algorithm, and eight that are a number.
fn key_id(line: &str) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(line.trim()).ok()?;
    let id = bytes.get(2..10)?.try_into().ok()?;
    Some(format!("{:X}", u64::from_le_bytes(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_refused_and_hardly_shown() {
        let good = "RWQmNKF0TY+q7IlNRWLaWQwnGsa2fTGVM0jr8mCttoFiSU+vKjdUx0Bl";
        let keys = TrustedKeys::parse(&[good.into(), format!("untrusted comment: x\n{good}\n")]).unwrap();
        assert_eq!(keys.ids().collect::<Vec<_>>(), ["ECAA8F4D74A13426"; 2]);
        // A zero before it is not written, as minisign does not.
        let mut bytes = BASE64_STANDARD.decode(good).unwrap();
        bytes[9] = 0x0c;
        let keys = TrustedKeys::parse(&[BASE64_STANDARD.encode(bytes)]).unwrap();
        assert_eq!(keys.ids().collect::<Vec<_>>(), ["CAA8F4D74A13426"]);
        let legacy_signature = "RWQmNKF0TY+q7AxgOqEwXpILvoPS7ol8BvOWBkwsmZJoioXXDkQsiAgucNBSJy90dQfp9FgBHYnQyxTx2Cjj0pIaDT4oSgs4UQI=";
        for text in [
            "",
            "\n",
            "untrusted comment: x",
            "RWn33dle",
            legacy_signature,
            &format!("{good}\n{good}"),
        ] {
            let error = TrustedKeys::parse(&[text.into()]).unwrap_err().to_string();
            assert!(
                error.contains("is no public key") && !error.contains("33dlee"),
                "{error}"
            );
            assert!(!error.contains(legacy_signature), "{error}");
        }
        assert!(TrustedKeys::parse(&[]).is_err());
        assert!(TrustedKeys::parse(&vec![good.into(); 101]).is_err());
    }
}
