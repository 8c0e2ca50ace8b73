use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use crate::{ComponentId, Offset};

/// Which rows a source reads, beside the name of its component: an offset means something to this source only.
///
/// It is stored with each micro-batch, so that a pipeline does not go on at an offset of another source: one with
/// another URL, another stream, another filter. Values of options are not stored, only their fingerprints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceIdentity {
    /// The stream's name; empty where it is not known.
    pub stream: String,
    /// The fingerprint of each option that decides which rows are read, by the option's name. `None` for an option
    /// that is left out or says what it says by default, so that a new option of a newer version changes nothing;
    /// such options are not stored.
    #[serde(serialize_with = "given")]
    pub options: BTreeMap<String, Option<String>>,
}

fn given<S: Serializer>(
    options: &BTreeMap<String, Option<String>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(options.iter().filter(|(_, fingerprint)| fingerprint.is_some()))
}

impl SourceIdentity {
    /// The fingerprint of an option's value: equal for values that are equal as JSON.
    pub fn fingerprint(value: &serde_json::Value) -> String {
        format!("{:016x}", Offset::from(value.clone()).fingerprint())
    }

    /// The difference between this source, with the name of its component, and the one that read the last micro-batch.
    ///
    /// Options that count for the earlier one only are passed over: a newer version may have none of that name.
    pub(crate) fn difference(
        &self,
        component: &ComponentId,
        before: Option<&Self>,
        component_before: Option<&ComponentId>,
    ) -> Option<String> {
        if let Some(earlier) = component_before.filter(|earlier| earlier.name != component.name) {
            return Some(format!(
                "it was the component {:?} and is {:?} now",
                earlier.name, component.name
            ));
        }
        let before = before?;
        if !before.stream.is_empty() && !self.stream.is_empty() && before.stream != self.stream {
            return Some(format!(
                "it was the stream {:?} and is {:?} now",
                before.stream, self.stream
            ));
        }
        let earlier = |name: &String| before.options.get(name).and_then(Option::as_ref);
        let changed = self
            .options
            .iter()
            .find(|(name, now)| earlier(name) != now.as_ref());
        changed.map(|(name, _)| format!("the option {name:?} says something else now"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(name: &str) -> ComponentId {
        ComponentId {
            name: name.into(),
            version: "1.0.0".into(),
            digest: "sha256:00".into(),
        }
    }

    fn identity(stream: &str, options: &[(&str, Option<&str>)]) -> SourceIdentity {
        let options = options.iter();
        SourceIdentity {
            stream: stream.into(),
            options: options
                .map(|(name, value)| ((*name).into(), value.map(Into::into)))
                .collect(),
        }
    }

    fn difference(now: &SourceIdentity, before: &SourceIdentity) -> Option<String> {
        let component = component("c");
        now.difference(&component, Some(before), Some(&component))
    }

    #[test]
    fn a_source_differs_by_component_stream_and_options_that_count() {
        let now = identity("s", &[("url", Some("1")), ("since", None)]);
        assert_eq!(difference(&now, &now), None);
        let other = now.difference(&component("d"), None, Some(&component("c")));
        assert_eq!(other.unwrap(), r#"it was the component "c" and is "d" now"#);
        assert!(
            difference(&now, &identity("t", &[("url", Some("1"))]))
                .unwrap()
                .contains("stream")
        );
        assert!(
            difference(&now, &identity("s", &[("url", Some("2"))]))
                .unwrap()
                .contains("\"url\"")
        );
        let filtered = identity("s", &[("url", Some("1")), ("since", Some("3"))]);
        assert!(difference(&now, &filtered).unwrap().contains("\"since\""));
        assert!(difference(&filtered, &now).unwrap().contains("\"since\""));
    }

    #[test]
    fn only_options_that_say_something_are_stored() {
        let stored = serde_json::to_string(&identity("s", &[("url", Some("1")), ("since", None)])).unwrap();
        assert_eq!(stored, r#"{"stream":"s","options":{"url":"1"}}"#);
        let read: SourceIdentity = serde_json::from_str(&stored).unwrap();
        assert_eq!(read, identity("s", &[("url", Some("1"))]));
    }

    #[test]
    fn what_is_not_known_and_what_a_version_adds_or_drops_is_no_difference() {
        let now = identity("s", &[("url", Some("1")), ("new", None)]);
        assert_eq!(now.difference(&component("c"), None, None), None);
        assert_eq!(difference(&now, &identity("", &[("url", Some("1"))])), None);
        let before = identity("s", &[("url", Some("1")), ("dropped", Some("2"))]);
        assert_eq!(difference(&now, &before), None);
    }
}
