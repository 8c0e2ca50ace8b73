use std::collections::HashMap;

/// Finds members by their names. Objects of one kind most often have them in one order.
#[derive(Default)]
pub(crate) struct Names(Option<HashMap<String, usize>>);

/// Names up to which it is faster to compare with each of them.
const FEW: usize = 8;

impl Names {
    pub(crate) fn new<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> Self {
        let many = names.len() > FEW;
        Self(many.then(|| {
            names
                .enumerate()
                .map(|(index, name)| (name.to_owned(), index))
                .collect()
        }))
    }

    /// The index of a name among all, whose names `of` gives. The one at `hint` is looked at first.
    #[inline]
    pub(crate) fn find<T>(
        &self,
        name: &str,
        hint: usize,
        all: &[T],
        of: impl Fn(&T) -> &str,
    ) -> Option<usize> {
        if all.get(hint).is_some_and(|next| of(next) == name) {
            return Some(hint);
        }
        match &self.0 {
            Some(names) => names.get(name).copied(),
            None => all.iter().position(|known| of(known) == name),
        }
    }
}
