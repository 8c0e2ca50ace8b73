//! One table of the file, read key by key. What was never asked for is unknown.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::Mistake;
use super::value::{self, Refusal};
use crate::nearest::nearest;

/// The mistakes found so far.
#[derive(Default)]
pub(super) struct Mistakes(RefCell<Vec<Mistake>>);

impl Mistakes {
    pub(super) fn add(&self, mistake: Mistake) {
        self.0.borrow_mut().push(mistake);
    }

    pub(super) fn into_inner(self) -> Vec<Mistake> {
        self.0.into_inner()
    }
}

/// One table, or its absence.
pub(super) struct Section<'a> {
    title: String,
    header: Range<usize>,
    table: Option<&'a DeTable<'a>>,
    asked: Vec<&'static str>,
    missing: Vec<(&'static str, Mistake)>,
    mistakes: &'a Mistakes,
}

impl<'a> Section<'a> {
    pub(super) fn root(table: &'a DeTable<'a>, mistakes: &'a Mistakes) -> Self {
        Self {
            title: String::new(),
            header: 0..0,
            table: Some(table),
            asked: Vec::new(),
            missing: Vec::new(),
            mistakes,
        }
    }

    /// Where the table begins.
    pub(super) fn header(&self) -> Range<usize> {
        self.header.clone()
    }

    /// The table as it is, for keys that are not ours.
    pub(super) fn table(&self) -> Option<&'a DeTable<'a>> {
        self.table
    }

    /// Whether the key is there, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// A value that may be left out.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&'a DeValue<'a>) -> Result<T, Refusal>,
    ) -> Option<T> {
        let (_, value) = self.entry(key)?;
        match parse(value.get_ref()) {
            Ok(parsed) => Some(parsed),
            Err(refusal) => {
                self.refuse(key, value.span(), refusal);
                None
            }
        }
    }

    /// A value that must be there. `example` is a line that would do.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: impl FnOnce(&'a DeValue<'a>) -> Result<T, Refusal>,
    ) -> Option<T> {
        let found = self.read(key, parse);
        if found.is_none() && self.table.is_some() && !self.has(key) {
            let place = match self.title.as_str() {
                "" => "the pipeline file",
                title => title,
            };
            let mistake = Mistake::new(self.header(), format!("{place} has no `{key}`"))
                .label(format!("`{key}` is missing"))
                .help(Some(format!("add {example}")));
            self.missing.push((key, mistake));
        }
        found
    }

    /// An array whose elements are parsed one by one, so that each mistake has its own place.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&'a DeValue<'a>) -> Result<T, Refusal>,
    ) -> Vec<T> {
        let Some(elements) = self.read(key, value::array) else {
            return Vec::new();
        };
        let mut parsed = Vec::with_capacity(elements.len());
        for element in elements.iter() {
            match parse(element.get_ref()) {
                Ok(value) => parsed.push(value),
                Err(refusal) => self.refuse(key, element.span(), refusal),
            }
        }
        parsed
    }

    /// A table that may be left out.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'a> {
        let header = self
            .entry(key)
            .map_or_else(|| self.header(), |(_, value)| value.span());
        let table = self.read(key, value::table);
        Section {
            title: self.title_of(key, "[", "]"),
            header,
            table,
            asked: Vec::new(),
            missing: Vec::new(),
            mistakes: self.mistakes,
        }
    }

    /// A table that must be there. `example` is the text that would do.
    pub(super) fn required_section(&mut self, key: &'static str, example: &str) -> Section<'a> {
        let section = self.section(key);
        if self.entry(key).is_none() {
            let mistake = Mistake::new(self.header(), format!("the pipeline file has no [{key}]"))
                .label(format!("[{key}] is missing"))
                .help(Some(format!("add {example}")));
            self.missing.push((key, mistake));
        }
        section
    }

    /// An array of tables.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let title = self.title_of(key, "[[", "]]");
        let mistakes = self.mistakes;
        let place = |value: &'a Spanned<DeValue<'a>>| (value.span(), value.get_ref());
        let tables = |value: &'a DeValue<'a>| {
            let remedy = format!("begin each one with {title}");
            value::array(value).map_err(|refusal| Refusal { remedy, ..refusal })
        };
        let Some(elements) = self.read(key, tables) else {
            return Vec::new();
        };
        let mut found = Vec::with_capacity(elements.len());
        for (header, element) in elements.iter().map(place) {
            match value::table(element) {
                Ok(table) => {
                    found.push(Section {
                        title: title.clone(),
                        header,
                        table: Some(table),
                        asked: Vec::new(),
                        missing: Vec::new(),
                        mistakes,
                    });
                }
                Err(refusal) => self.refuse(key, header, refusal),
            }
        }
        found
    }

    /// Adds a mistake at the value of `key`, which was read before.
    pub(super) fn refuse_value(&mut self, key: &'static str, refusal: Refusal) {
        let span = self
            .entry(key)
            .map_or_else(|| self.header(), |(_, value)| value.span());
        self.refuse(key, span, refusal);
    }

    /// Reports the keys that nobody asked for, and those that are missing. A missing key of which there is a
    /// misspelt form counts once.
    pub(super) fn finish(self) {
        let place = match self.title.as_str() {
            "" => "at the top level".to_owned(),
            title => format!("in {title}"),
        };
        let mut missing = self.missing;
        let keys = self.table.into_iter().flat_map(DeTable::keys);
        for key in keys.filter(|key| !self.asked.contains(&key.get_ref().as_ref())) {
            let near = nearest(key.get_ref(), self.asked.iter().copied());
            let label = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "not a key of this table".to_owned(),
            };
            missing.retain(|(missing, _)| near != Some(missing));
            let known = format!("known keys {place}: {}", self.asked.join(", "));
            let mistake = Mistake::new(key.span(), format!("unknown key `{}` {place}", key.get_ref()));
            self.mistakes.add(mistake.label(label).help(Some(known)));
        }
        missing
            .into_iter()
            .for_each(|(_, mistake)| self.mistakes.add(mistake));
    }

    fn entry(&mut self, key: &'static str) -> Option<(&'a Spanned<DeString<'a>>, &'a Spanned<DeValue<'a>>)> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.table?.get_key_value(key)
    }

    fn refuse(&self, key: &str, span: Range<usize>, refusal: Refusal) {
        let place = if self.title.is_empty() {
            String::new()
        } else {
            format!(" in {}", self.title)
        };
        let mistake = Mistake::new(span, format!("`{key}`{place} {}", refusal.fault));
        self.mistakes
            .add(mistake.label(refusal.remedy).help(refusal.help));
    }

    fn title_of(&self, key: &str, open: &str, close: &str) -> String {
        match self.title.trim_matches(['[', ']']) {
            "" => format!("{open}{key}{close}"),
            above => format!("{open}{above}.{key}{close}"),
        }
    }
}
