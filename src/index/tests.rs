//! Walks through trees of files.

mod areas;
mod faults;
mod memory;
mod order;
