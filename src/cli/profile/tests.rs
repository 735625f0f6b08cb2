//! `tollgate profile` as a shell sees it, without AWS.
