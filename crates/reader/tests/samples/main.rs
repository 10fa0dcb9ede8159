//! What is in a sample beside its fields, and which samples are left out: the same in every way of
//! reading.

mod features;
mod quarantine;
mod support;
