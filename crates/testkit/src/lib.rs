//! Corpora, faults and conformance suites for the tests.

pub mod s3;
pub mod store_suite;
