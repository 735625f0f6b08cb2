//! What a body holds beside messages: images, documents, and where they are kept.

use super::{Step, Survey};
use crate::bedrock::json::{JsonError, Kind, Reader};

impl<'a> Survey<'a> {
    /// The value of `image`, `document`, `video`: gives the bytes of base64 in `source.bytes`.
    pub(super) fn media_source(&mut self, reader: &mut Reader<'a>) -> Result<usize, JsonError> {
        let mut bytes = 0;
        self.object_or_watch(reader, |survey, reader, member| {
            if member.name().equals("source") {
                bytes = survey.source(reader)?;
                return Ok(());
            }
            survey.note(&member);
            survey.watch(reader)
        })?;
        Ok(bytes)
    }

    /// The value of `source`: gives the bytes of base64 in `bytes` or `data`.
    pub(super) fn source(&mut self, reader: &mut Reader<'a>) -> Result<usize, JsonError> {
        let mut bytes = 0;
        self.object_or_watch(reader, |survey, reader, member| {
            match &*member.name().decode() {
                "bytes" | "data" if reader.kind() == Kind::String => bytes += reader.skip()?.len(),
                "s3Location" | "url" | "uri" | "file_id" => {
                    survey.media.referenced = survey.media.referenced.saturating_add(1);
                    survey.watch(reader)?;
                }
                _ => {
                    survey.note(&member);
                    survey.watch(reader)?;
                }
            }
            Ok(())
        })?;
        Ok(bytes)
    }

    /// An image, or a list of them, beside the prompt (Llama, Titan embeddings). Its base64 counts as text.
    pub(super) fn top_level_image(&mut self, reader: &mut Reader<'a>) -> Step {
        let mut images = 0_u32;
        if reader.kind() == Kind::Array {
            reader.array(|reader| {
                images = images.saturating_add(1);
                self.watch(reader)
            })?;
        } else {
            images = 1;
            self.watch(reader)?;
        }
        self.media.images = self.media.images.saturating_add(images);
        Ok(())
    }

    /// Documents to be ranked, or to be answered from.
    pub(super) fn documents(&mut self, reader: &mut Reader<'a>) -> Step {
        if reader.kind() != Kind::Array {
            return self.watch(reader);
        }
        reader.array(|reader| {
            let document = reader.walk(|member| self.note(&member))?;
            self.pieces.document(document.len());
            Ok(())
        })
    }
}
