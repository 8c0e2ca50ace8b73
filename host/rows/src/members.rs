use std::collections::HashMap;

use arrow_array::ArrayRef;
use arrow_schema::{ArrowError, Fields};

use crate::RowsError;
use crate::column::{Column, State};
use crate::fault::{Found, Result};
use crate::scanner::Scanner;

/// Columns that are filled from the members of objects, by their names.
pub(crate) struct Members {
    members: Vec<Member>,
    names: Names,
    /// Objects so far.
    objects: u64,
}

struct Member {
    name: String,
    column: Column,
    is_nullable: bool,
    /// The last object that had it, counted from 1.
    seen: u64,
}

/// Finds members by their names. Objects of one kind most often have them in one order.
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

    /// The index of a name. `at` gives the names by their index; the one at `hint` is looked at first.
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

impl Members {
    /// Columns for these fields, which stand at a depth of a schema.
    pub(crate) fn new(fields: &Fields, depth: usize) -> Result<Self, RowsError> {
        let member = |field: &arrow_schema::FieldRef| {
            Ok(Member {
                name: field.name().clone(),
                column: Column::nested(field, depth)?,
                is_nullable: field.is_nullable(),
                seen: 0,
            })
        };
        Ok(Self {
            members: fields.iter().map(member).collect::<Result<_, RowsError>>()?,
            names: Names::new(fields.iter().map(|field| field.name().as_str())),
            objects: 0,
        })
    }

    /// The bytes that an object takes at least.
    pub(crate) fn width(&self) -> usize {
        self.members.iter().map(|member| member.column.width()).sum()
    }

    /// Takes an object. Members that no column is named after are left out.
    pub(crate) fn read(&mut self, scanner: &mut Scanner<'_>, state: &mut State) -> Result<()> {
        let start = scanner.at();
        scanner.open(b'{', Found::Not("an object"))?;
        self.objects += 1;
        let (mut next, mut missing, mut is_first) = (0, self.members.len(), true);
        while let Some(name) = scanner.member(is_first, &mut state.scratch)? {
            is_first = false;
            let found = self
                .names
                .find(name.as_str(), next, &self.members, |member| &member.name);
            let Some(index) = found else {
                scanner.skip()?;
                continue;
            };
            let Some(member) = self.members.get_mut(index) else {
                continue;
            };
            if member.seen == self.objects {
                return Err(scanner.fault(Found::Twice).within(&member.name));
            }
            member.seen = self.objects;
            let read = member.column.read(member.is_nullable, scanner, state);
            read.map_err(|fault| fault.within(&member.name))?;
            missing -= 1;
            next = index + 1;
        }
        if missing > 0 {
            for member in self
                .members
                .iter_mut()
                .filter(|member| member.seen < self.objects)
            {
                if !member.is_nullable {
                    return Err(scanner.fault_at(start, Found::Missing).within(&member.name));
                }
                member.column.append_null();
            }
        }
        Ok(())
    }

    /// Appends what stands for no object.
    pub(crate) fn append_nulls(&mut self) {
        for member in &mut self.members {
            member.column.append_null();
        }
    }

    pub(crate) fn finish(self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.members
            .into_iter()
            .map(|member| member.column.finish())
            .collect()
    }
}
