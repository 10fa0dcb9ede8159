//! One binary, so that a change links once.

mod tidy;
