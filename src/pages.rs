//! What a node serves about itself.

pub(crate) mod missing;
