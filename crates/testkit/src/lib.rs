//! Corpora, faults and conformance suites for the tests.

pub mod fuse;
pub mod s3;
pub mod store_suite;
