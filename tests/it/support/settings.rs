use std::fmt::Write as _;

use sandbar_harness::ScriptedApi;

/// A pipeline file in the making. It reads 10 rows a batch, and hardly waits before it tries again.
#[derive(Clone)]
pub(crate) struct Settings {
    name: String,
    /// Sections with their keys and values, as they stand in the file.
    sections: Vec<(String, Vec<(String, String)>)>,
    rest: String,
}

impl Settings {
    /// A pipeline `comments` that reads this API into `lake/comments`.
    pub(crate) fn of(api: &ScriptedApi) -> Self {
        Self::at(&api.origin())
    }

    /// A pipeline `comments` that reads `{origin}/comments` into `lake/comments`.
    pub(crate) fn at(origin: &str) -> Self {
        Self {
            name: "comments".into(),
            sections: vec![],
            rest: String::new(),
        }
        .set("source.component", "'comments'")
        .set("source.options.api_url", &format!("'{origin}/comments'"))
        .set("source.options.rows_per_batch", "10")
        .set("source.options.page_size", "5")
        .set("source.grants.http", &format!("['{origin}']"))
        .set("sink.table", "'lake/comments'")
        .set("checkpoint.location", "'lake/_checkpoints/comments'")
        .set("retry.attempts", "3")
        .set("retry.base", "'5ms'")
        .set("retry.max", "'20ms'")
    }

    /// Another name, with a table and a checkpoint location of that name.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self.set("sink.table", &format!("'lake/{name}'"))
            .set("checkpoint.location", &format!("'lake/_checkpoints/{name}'"))
    }

    /// Sets a key, written with its section: `set("sink.progress", "'checkpoint'")`.
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        let (section, key) = key.rsplit_once('.').unwrap();
        let place = match self.sections.iter().position(|(name, _)| name == section) {
            Some(place) => place,
            None => {
                self.sections.push((section.into(), vec![]));
                self.sections.len() - 1
            }
        };
        let keys = &mut self.sections[place].1;
        match keys.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value.into(),
            None => keys.push((key.into(), value.into())),
        }
        self
    }

    /// Leaves a key out.
    pub(crate) fn without(mut self, key: &str) -> Self {
        let (section, key) = key.rsplit_once('.').unwrap();
        for (_, keys) in self.sections.iter_mut().filter(|(name, _)| name == section) {
            keys.retain(|(name, _)| name != key);
        }
        self
    }

    /// Adds text at the end of the file.
    pub(crate) fn and(mut self, text: &str) -> Self {
        self.rest.push_str(text);
        self.rest.push('\n');
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn to_toml(&self) -> String {
        let mut text = format!("name = '{}'\n", self.name);
        for (section, keys) in &self.sections {
            let _ = writeln!(text, "\n[{section}]");
            for (key, value) in keys {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        text + "\n" + &self.rest
    }
}
