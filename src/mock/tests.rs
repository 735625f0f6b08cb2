//! The look-alike as a whole.
