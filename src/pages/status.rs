//! `filedist_status`: what an operator wants to know of this node, its children, and the tree.

#[allow(dead_code)]
mod model;
