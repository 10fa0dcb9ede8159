//! Indexes that other tools read.
