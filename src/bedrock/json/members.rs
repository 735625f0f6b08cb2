//! Objects and arrays read step by step. This is where duplicate names are found.

use super::reader::{MAX_MEMBERS, Reader};
use super::text::Text;
use super::{Fault, Followed, JsonError, Opening};

/// A member of an object: its name, and the place of its value, which has not been read yet.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    name: Text<'a>,
    name_at: usize,
    document: &'a str,
    value_at: usize,
}

impl<'a> Member<'a> {
    pub(super) const fn new(name: Text<'a>, name_at: usize, document: &'a str, value_at: usize) -> Self {
        Self { name, name_at, document, value_at }
    }

    /// The name.
    pub const fn name(&self) -> Text<'a> {
        self.name
    }

    /// The value, read ahead, where it is a string.
    pub fn string(&self) -> Option<Text<'a>> {
        Reader::starting_at(self.document, self.value_at).string().ok()
    }
}

impl<'a> Reader<'a> {
    /// Reads an object. `on_member` is called for each member and has to read its value. Two members of the same name,
    /// once unescaped, are an error, as are more than [`MAX_MEMBERS`].
    pub fn object(
        &mut self,
        mut on_member: impl FnMut(&mut Self, Member<'a>) -> Result<(), JsonError>,
    ) -> Result<Opening, JsonError> {
        if !self.next_is(b'{') {
            return Err(self.error(Fault::NotAnObject));
        }
        self.expect(b'{', "`{`")?;
        let at = self.at();
        if self.next_is(b'}') {
            self.expect(b'}', "`}`")?;
            return Ok(Opening { at, followed: Followed::ByEnd });
        }
        let own = self.names.len();
        loop {
            let member = self.member()?;
            self.admit(own, &member)?;
            on_member(self, member)?;
            if !self.next_is(b',') {
                break;
            }
            self.expect(b',', "`,`")?;
        }
        self.expect(b'}', "`,` or `}`")?;
        self.names.truncate(own);
        Ok(Opening { at, followed: Followed::ByMember })
    }

    /// Reads an array. `on_element` is called for each element and has to read it.
    pub fn array(&mut self, mut on_element: impl FnMut(&mut Self) -> Result<(), JsonError>) -> Result<(), JsonError> {
        if !self.next_is(b'[') {
            return Err(self.error(Fault::Expected("an array")));
        }
        self.expect(b'[', "`[`")?;
        if self.next_is(b']') {
            return self.expect(b']', "`]`");
        }
        loop {
            on_element(self)?;
            if !self.next_is(b',') {
                break;
            }
            self.expect(b',', "`,`")?;
        }
        self.expect(b']', "`,` or `]`")
    }

    /// Admits a name to the object whose names start at `own`.
    fn admit(&mut self, own: usize, member: &Member<'a>) -> Result<(), JsonError> {
        let refuse = |fault| Err(JsonError { fault, at: member.name_at });
        let name = member.name;
        if !name.is_well_formed() {
            return refuse(Fault::UnpairedSurrogate);
        }
        let name = name.decode();
        let siblings = self.names.get(own..).unwrap_or_default();
        if siblings.contains(&name) {
            return refuse(Fault::DuplicateMember);
        }
        if siblings.len() == MAX_MEMBERS {
            return refuse(Fault::TooManyMembers);
        }
        self.names.push(name);
        Ok(())
    }
}
