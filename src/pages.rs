//! What a node serves about itself.

pub(crate) mod missing;
pub(crate) mod status;
