//! Corpora, faults and conformance suites for the tests.

pub mod fuse;
pub mod s3;
pub mod source_suite;
pub mod store_suite;
