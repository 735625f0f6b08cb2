//! Reading a table through the list of its keys.
//!
//! An [`Entry`] gives what is there in the right shape, or the default where nothing is. What is there in the wrong shape it
//! gives as absent, *without* its default: `walk` has reported it, and a section must not go on as if it had not been written.

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::{Absence, Key, ROOT, Shape};
use crate::config::diagnostics::{Place, Placed};

/// A table of the file, present or not, with the keys it may have.
#[derive(Clone)]
pub(in crate::config) struct Entry<'a> {
    keys: &'static [Key],
    table: Option<&'a DeTable<'a>>,
    place: Place,
}

impl<'a> Entry<'a> {
    /// The file.
    pub(super) const fn root(table: &'a DeTable<'a>) -> Self {
        Self { keys: ROOT, table: Some(table), place: Place::root() }
    }

    /// Where the table stands; where it is absent, the place of the table that would hold it.
    pub(in crate::config) const fn place(&self) -> &Place {
        &self.place
    }

    /// Whether the table is there.
    pub(in crate::config) const fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Whether a key was written, in whatever shape.
    pub(in crate::config) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The place of a key; where it is absent, that of this table.
    pub(in crate::config) fn place_of(&self, name: &str) -> Place {
        self.place.key(name, self.value(name).map_or(self.place.offset, |value| value.span().start))
    }

    /// A string, or its default.
    pub(in crate::config) fn text(&self, name: &str) -> Option<Placed<&'a str>> {
        let value = match self.value(name) {
            Some(value) => value.get_ref().as_str()?,
            None => match self.absence(name)? {
                Absence::Text(default) => default,
                Absence::Wrong(_) | Absence::Nothing | Absence::Integer(_) | Absence::Flag(_) => return None,
            },
        };
        Some(Placed { value, place: self.place_of(name) })
    }

    /// A whole number, or its default.
    pub(in crate::config) fn integer(&self, name: &str) -> Option<Placed<i64>> {
        let value = match self.value(name) {
            Some(value) => whole(value.get_ref().as_integer()?)?,
            None => match self.absence(name)? {
                Absence::Integer(default) => default,
                Absence::Wrong(_) | Absence::Nothing | Absence::Text(_) | Absence::Flag(_) => return None,
            },
        };
        Some(Placed { value, place: self.place_of(name) })
    }

    /// A flag, or its default.
    pub(in crate::config) fn flag(&self, name: &str) -> Option<Placed<bool>> {
        let value = match self.value(name) {
            Some(value) => value.get_ref().as_bool()?,
            None => match self.absence(name)? {
                Absence::Flag(default) => default,
                Absence::Wrong(_) | Absence::Nothing | Absence::Text(_) | Absence::Integer(_) => return None,
            },
        };
        Some(Placed { value, place: self.place_of(name) })
    }

    /// The strings of an array; none where it is absent.
    pub(in crate::config) fn texts(&self, name: &str) -> Vec<Placed<&'a str>> {
        let place = self.place_of(name);
        let elements = self.value(name).and_then(|value| value.get_ref().as_array()).into_iter().flatten().enumerate();
        elements
            .filter_map(|(index, element)| {
                let value = element.get_ref().as_str()?;
                Some(Placed { value, place: place.element(index, element.span().start) })
            })
            .collect()
    }

    /// The names and strings of a table whose names are free; none where it is absent.
    pub(in crate::config) fn pairs(&self, name: &str) -> Vec<(Placed<&'a str>, &'a str)> {
        let place = self.place_of(name);
        let pairs = self.subtable(name).into_iter().flatten();
        pairs
            .filter_map(|(key, value)| {
                let key_place = place.key(key.get_ref(), key.span().start);
                Some((Placed { value: key.get_ref().as_ref(), place: key_place }, value.get_ref().as_str()?))
            })
            .collect()
    }

    /// A table of known keys, which may be absent.
    pub(in crate::config) fn table(&self, name: &str) -> Self {
        Self { keys: self.keys_of(name), table: self.subtable(name), place: self.place_of(name) }
    }

    /// The tables of an array; none where it is absent.
    pub(in crate::config) fn tables(&self, name: &str) -> Vec<Self> {
        let (keys, place) = (self.keys_of(name), self.place_of(name));
        let elements = self.value(name).and_then(|value| value.get_ref().as_array()).into_iter().flatten().enumerate();
        elements
            .filter_map(|(index, element)| {
                let table = Some(element.get_ref().as_table()?);
                Some(Self { keys, table, place: place.element(index, element.span().start) })
            })
            .collect()
    }

    /// The tables of a table whose names are free; none where it is absent.
    pub(in crate::config) fn named(&self, name: &str) -> Vec<(Placed<&'a str>, Self)> {
        let (keys, place) = (self.keys_of(name), self.place_of(name));
        let tables = self.subtable(name).into_iter().flatten();
        tables
            .filter_map(|(key, value)| {
                let table = Some(value.get_ref().as_table()?);
                let place = place.key(key.get_ref(), key.span().start);
                Some((Placed { value: key.get_ref().as_ref(), place: place.clone() }, Self { keys, table, place }))
            })
            .collect()
    }

    fn value(&self, name: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table?.get(name)
    }

    fn subtable(&self, name: &str) -> Option<&'a DeTable<'a>> {
        self.value(name)?.get_ref().as_table()
    }

    fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    fn absence(&self, name: &str) -> Option<Absence> {
        self.key(name).map(|key| key.absence)
    }

    fn keys_of(&self, name: &str) -> &'static [Key] {
        match self.key(name).map(|key| key.shape) {
            Some(Shape::Table(keys) | Shape::Tables(keys) | Shape::Named(keys)) => keys,
            Some(
                Shape::Text | Shape::Span | Shape::Dollars | Shape::Integer | Shape::Flag | Shape::Texts | Shape::Pairs,
            )
            | None => &[],
        }
    }
}

/// The value of a TOML integer, where 64 bits hold it.
pub(super) fn whole(integer: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}
