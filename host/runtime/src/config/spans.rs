//! Where everything in the file stands, by JSON pointer.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The places of all keys and values of one file.
#[derive(Debug, Clone, Default)]
pub(super) struct Spans {
    places: BTreeMap<String, Place>,
}

#[derive(Debug, Clone)]
struct Place {
    key: Range<usize>,
    value: Range<usize>,
}

impl Spans {
    pub(super) fn of(root: &DeTable<'_>) -> Self {
        let mut spans = Self::default();
        spans.add_table("", root);
        spans
    }

    /// The place of the key that `pointer` ends in, or of what is nearest above it.
    pub(super) fn key_or_above(&self, pointer: &str) -> Range<usize> {
        self.nearest(pointer, |place| &place.key)
    }

    /// The place of the value at `pointer`, or of what is nearest above it.
    pub(super) fn value_or_above(&self, pointer: &str) -> Range<usize> {
        self.nearest(pointer, |place| &place.value)
    }

    fn nearest(&self, pointer: &str, part: impl Fn(&Place) -> &Range<usize>) -> Range<usize> {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.places.get(pointer) {
                return part(place).clone();
            }
            match pointer.rsplit_once('/') {
                Some((above, _)) => pointer = above,
                None => return 0..0,
            }
        }
    }

    fn add_table(&mut self, above: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let pointer = format!("{above}/{}", key.get_ref().replace('~', "~0").replace('/', "~1"));
            self.add(pointer, key.span(), value);
        }
    }

    fn add(&mut self, pointer: String, key: Range<usize>, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => self.add_table(&pointer, table),
            DeValue::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    self.add(format!("{pointer}/{index}"), element.span(), element);
                }
            }
            _ => {}
        }
        self.places.insert(
            pointer,
            Place {
                key,
                value: value.span(),
            },
        );
    }
}
